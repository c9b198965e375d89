"""Tiny ImageNet, from its archive or unpacked."""

import numpy as np
import pytest
from helpers import encoded, images, md5, pack

from poolflow.datasets import tiny_imagenet
from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")


def tiny(top="tiny-imagenet-200/", grey=True):
    """Return the files of a small Tiny ImageNet, and the pixels of its images."""
    pixels = {f"train/n{c}/images/n{c}_{i}.JPEG": images(1, 8, 8, 3)[0] for c in (3, 1, 2) for i in (0, 10, 2)}
    pixels |= {f"val/images/val_{i}.JPEG": images(1, 8, 8, 3)[0] for i in range(4)}
    pixels["train/n1/images/n1_0.JPEG"] = images(1, 8, 8)[0].repeat(3, axis=-1)
    files = {name: encoded(value[..., 0] if "n1_0" in name else value, "png") for name, value in pixels.items()}
    files |= {f"test/images/test_{i}.JPEG": b"not read" for i in range(3)}
    files["wnids.txt"] = b"n3\nn1\nn2\n"
    files["words.txt"] = b"n1\tgoldfish, Carassius auratus\nn3\tbell cote\nn9\tother\n"
    lines = [f"val_{i}.JPEG\tn{c}\t0\t0\t9\t9\n" for i, c in ((2, 1), (0, 2), (1, 3), (3, 3))]
    files["val/val_annotations.txt"] = "".join(lines).encode()
    files["train/n1/n1_boxes.txt"] = b""
    return {top + name: content for name, content in files.items()}, pixels


@pytest.mark.parametrize("form", ["tiny-imagenet-200.zip", "small.tar.xz", "small", "", "tiny-imagenet-200"])
def test_tiny_imagenet_has_its_validation_part_as_test_set(make_dataset, tmp_path, monkeypatch, form):
    files, pixels = tiny(top="" if form in ("small", "tiny-imagenet-200") else "tiny-imagenet-200/")
    path = pack(tmp_path / "root" / (form or "tiny-imagenet-200.zip"), files)
    if form == "tiny-imagenet-200.zip":
        monkeypatch.setattr(tiny_imagenet, "MD5", md5(path.read_bytes()))
    if form == "":
        with pytest.raises(StageError, match=rf"zip has the MD5 .*, expected {tiny_imagenet.MD5}"):
            make_dataset("tiny_imagenet")
        return
    found = make_dataset("tiny_imagenet", **({} if form.startswith("tiny") else {"path": form}))
    assert found.classes == ["bell cote", "goldfish", "n2"]
    assert found.test_labels.tolist() == [2, 0, 1, 0]
    assert found.train_labels.tolist() == [1] * 3 + [2] * 3 + [0] * 3
    names = [name.removeprefix("tiny-imagenet-200/") for name in found.train_names]
    assert names[:3] == [f"train/n1/images/n1_{i}.JPEG" for i in (0, 10, 2)]
    np.testing.assert_array_equal(found.train_images, [pixels[name] for name in names])
    np.testing.assert_array_equal(found.test_images, [pixels[f"val/images/val_{i}.JPEG"] for i in range(4)])


def test_only_the_original_tiny_imagenet_is_fetched():
    (file,) = tiny_imagenet.files()
    assert file.checksum == "90528d7ca1a48142e341f4ef8d21d0de"
    assert file.path == "tiny-imagenet-200.zip"
    assert all(url.endswith("//cs231n.stanford.edu/tiny-imagenet-200.zip") for url in file.urls)
    assert tiny_imagenet.files(path="small.zip") == []


def test_an_incomplete_tiny_imagenet_is_refused(make_dataset, tmp_path):
    files, _ = tiny(top="")
    cases = [
        ({"words.txt": None}, r"found no words\.txt"),
        ({"val/images/val_1.JPEG": None}, "found 9 images in train and 3 in val, .* the 4 of"),
        ({"wnids.txt": b"n1\nn2\n"}, "found no class for train/n3/images"),
        ({"val/images/val_9.JPEG": b""}, r"found no class for val/images/val_9\.JPEG"),
    ]
    for changes, message in cases:
        changed = {name: content for name, content in (files | changes).items() if content is not None}
        pack(tmp_path / "root/small.zip", changed)
        with pytest.raises(StageError, match=message):
            make_dataset("tiny_imagenet", path="small.zip")
