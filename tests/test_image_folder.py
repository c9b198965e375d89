"""Images in folders and archives: layouts, classes, sizes and formats."""

from collections import Counter

import numpy as np
import pytest
from helpers import FILES, FORMS, PIXELS, encoded, images, pack
from PIL import Image

from poolflow.datasets import _images
from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")
RNG = np.random.default_rng(0)


def same(one, other):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


@pytest.mark.parametrize("top", ["", "photos/", "./photos/"])
@pytest.mark.parametrize("form", FORMS)
def test_the_form_and_the_order_of_an_image_folder_do_not_matter(make_dataset, tmp_path, form, top):
    files = {f"{top}{name}": content for name, content in FILES.items()}
    pack(tmp_path / "root" / form, files, order=RNG.permutation(len(files)))
    found = make_dataset("image_folder", path=form)
    top = top.removeprefix("./")
    names = [f"train/cat/{i}.png" for i in (1, 10, 2)] + [f"train/dog/deep/{i}.png" for i in (1, 10, 2)]
    assert found.train_names == [top + name for name in names]
    np.testing.assert_array_equal(found.train_images, [PIXELS[name] for name in names])
    np.testing.assert_array_equal(found.test_images, [PIXELS[name.replace("train", "test", 1)] for name in names])
    assert found.train_labels.tolist() == found.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.classes == ["cat", "dog"]


def test_an_absolute_path_is_taken_as_it_is(make_dataset, tmp_path):
    path = pack(tmp_path / "elsewhere/own.zip", FILES)
    assert make_dataset("image_folder", path=str(path)).train_images.shape == (6, 6, 6, 3)


def test_other_files_are_skipped_and_counted(make_dataset, tmp_path, capsys):
    strange = {"train/cat/.hidden.png": b"", "__MACOSX/train/cat/._1.png": b"", "train/Thumbs.db": b"", "README": b""}
    pack(tmp_path / "root/own.zip", FILES | strange)
    assert len(make_dataset("image_folder", path="own.zip").train_labels) == 6
    line = "image_folder: 2 classes, cat 3, dog 3; 6 for the test; skipped 4, as "
    said = capsys.readouterr()
    assert said.out.startswith(line)
    assert line in said.err


def test_images_without_a_label_come_last(make_dataset, tmp_path):
    extra = {f"unlabeled/{name}": encoded(images(1, 6, 6, 3)[0]) for name in ("b.png", "x/a.png")}
    pack(tmp_path / "root/own", FILES | extra)
    found = make_dataset("image_folder", path="own")
    assert found.train_names[-2:] == ["unlabeled/b.png", "unlabeled/x/a.png"]
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    assert found.classes == ["cat", "dog"]


def test_class_folders_at_the_top_are_split(make_dataset, tmp_path):
    files = {f"{label}/{i:02}.png": encoded(images(1)[0]) for label, n in (("a", 20), ("b", 11)) for i in range(n)}
    files |= {"unsorted/x.png": encoded(images(1)[0])}
    pack(tmp_path / "root/own.tar", files)
    found = make_dataset("image_folder", path="own.tar", unlabeled="unsorted")
    assert np.bincount(found.test_labels).tolist() == [4, 2]
    assert np.bincount(found.train_labels[:-1]).tolist() == [16, 9]
    assert found.train_labels[-1] == -1
    assert sorted(found.train_names + found.test_names) == sorted(files)
    for names, labels in ((found.train_names[:-1], found.train_labels), (found.test_names, found.test_labels)):
        assert names == sorted(names)
        assert [found.classes[label] for label in labels[: len(names)]] == [name[0] for name in names]
    same(found, make_dataset("image_folder", path="own.tar", unlabeled="unsorted"))
    other = make_dataset("image_folder", path="own.tar", unlabeled="unsorted", split_seed=1, test_fraction=0.5)
    assert np.bincount(other.test_labels).tolist() == [10, 6]


LAYOUTS = {
    "nothing": ([], "found no image"),
    "no class folder": (["a/1.png", "b/1.png", "1.png"], r"found 1\.png outside the class folders"),
    "no class folder in train": (["train/1.png", "test/a/1.png"], r"found train/1\.png outside the class folders"),
    "a third part": (["train/a/1.png", "test/a/1.png", "val/a/1.png"], "found the folder val beside train and test"),
    "no test": (["train/a/1.png", "train/b/1.png"], "found no images in test/, expected train/ and test/"),
    "no train": (["test/a/1.png", "unlabeled/1.png"], "found no images in train/"),
    "no labels": (["unlabeled/1.png", "unlabeled/2.png"], "found images without a class only"),
    "one class": (["a/1.png", "a/2.png", "a/3.png"], r"classes: found 1 \(a\)"),
    "a class of the test": (
        ["train/a/1.png", "train/b/1.png", "test/c/1.png"],
        r"no training image of the class of test/c/1\.png",
    ),
    "single images": (["a/1.png", "b/1.png"], "no class has two labelled images"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_layout_is_one_line(make_dataset, tmp_path, layout):
    names, message = LAYOUTS[layout]
    pack(tmp_path / "root/own.zip", dict.fromkeys(names, encoded(images(1)[0])))
    with pytest.raises(StageError, match=message) as error:
        make_dataset("image_folder", path="own.zip")
    assert "\n" not in str(error.value)


NAMED = {
    "at the top": (["1.png", "2.png"], ["1.png", "2.png"], [-1, -1], []),
    "in a folder": (["unlabeled/1.png", "unlabeled/x/2.png"], ["unlabeled/1.png", "unlabeled/x/2.png"], [-1, -1], []),
    "with one folder around": (["photos/1.png", "photos/2.png"], ["photos/1.png", "photos/2.png"], [-1, -1], []),
    "one label": (["1.png", "a/2.png"], ["a/2.png", "1.png"], [1, -1], []),
    "one of each class": (["1.png", "b/2.png", "a/3.png"], ["a/3.png", "b/2.png", "1.png"], [1, 0, -1], []),
    "a test set alone": (["1.png", "test/a/2.png", "test/b/3.png"], ["1.png"], [-1], [1, 0]),
    "no test set": (["unlabeled/1.png", "train/a/2.png"], ["train/a/2.png", "unlabeled/1.png"], [1, -1], []),
    "enough to split": (["1.png", *(f"a/{i}.png" for i in range(5))], None, [1, 1, 1, 1, -1], [1]),
}


@pytest.mark.parametrize("form", ["own", "own.zip"])
@pytest.mark.parametrize("case", NAMED)
def test_named_classes_need_no_images(make_dataset, tmp_path, case, form):
    files, names, labels, test_labels = NAMED[case]
    pack(tmp_path / "root" / form, {name: encoded(images(1)[0]) for name in files})
    found = make_dataset("image_folder", path=form, classes=["b", "a", "c"])
    assert names is None or found.train_names == names
    assert found.train_labels.tolist() == labels
    assert found.test_labels.tolist() == test_labels
    assert found.classes == ["b", "a", "c"]
    assert sorted(found.train_names + found.test_names) == sorted(files)


def test_a_test_fraction_of_0_leaves_all_for_training(make_dataset, tmp_path):
    pack(tmp_path / "root/own", {f"{label}/{i}.png": encoded(images(1)[0]) for label in "ab" for i in range(5)})
    found = make_dataset("image_folder", path="own", test_fraction=0)
    assert found.train_labels.tolist() == [0] * 5 + [1] * 5
    assert found.test_images.shape == (0, 4, 5, 1)


@pytest.mark.parametrize(
    ("files", "classes", "message"),
    [
        (
            ["d/1.png", "a/1.png"],
            ["a", "b"],
            "found d/1.png in the folder d, expected one of the classes a, b; add d",
        ),
        (["test/d/1.png", "1.png"], ["a", "b"], "found test/d/1.png in the folder d, expected one of the classes a, b"),
        (["1.png", "train/2.png"], ["a", "b"], "found train/2.png outside the class folders"),
        (["test/a/1.png"], ["a", "b"], "found images in test/ only"),
        (["1.png"], ["a"], r"classes: found 1 \(a\), expected at least 2"),
        (["1.png"], ["a", "a"], "classes: found a, expected each class once"),
        (["1.png"], ["a", "unlabeled"], "classes: found unlabeled, expected each class once, and none of test, train"),
        (["1.png"], [0, 1], "classes: found 0, expected the names of folders; write it in quotes"),
        (["1.png"], None, r"found 1\.png outside the class folders.* write classes: \[their names\]"),
        (["unlabeled/1.png"], None, r"found images without a class only.* write classes: \[their names\]"),
    ],
)
def test_wrong_classes_are_one_line(make_dataset, tmp_path, files, classes, message):
    pack(tmp_path / "root/own", dict.fromkeys(files, encoded(images(1)[0])))
    with pytest.raises(StageError, match=message) as error:
        make_dataset("image_folder", path="own", classes=classes)
    assert "\n" not in str(error.value)


def test_sizes_must_agree_or_be_brought_to_one(make_dataset, tmp_path):
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 4:] = 255
    board = np.uint8(np.indices((64, 64)).sum(axis=0) % 2 * 255)
    files = {"a/1.png": wide, "a/2.png": wide.T, "b/1.png": board, "b/2.png": board}
    pack(tmp_path / "root/own", {name: encoded(pixels) for name, pixels in files.items()})
    message = r"found a/1\.png of 8 x 4 pixels and a/2\.png of 4 x 8, .*write size: N"
    with pytest.raises(StageError, match=message):
        make_dataset("image_folder", path="own")
    found = make_dataset("image_folder", path="own", size=4)
    both = dict(zip(found.train_names + found.test_names, [*found.train_images, *found.test_images], strict=True))
    np.testing.assert_array_equal(both["a/1.png"][..., 0], [[0, 0, 255, 255]] * 4)  # the centre
    np.testing.assert_array_equal(both["a/2.png"][..., 0], np.transpose([[0, 0, 255, 255]] * 4))
    np.testing.assert_allclose(both["b/1.png"], 127.5, atol=2)  # antialiased


def one(content, colour=True, size=None):
    return _images.decode("x/1.png", content, colour, size)


def test_modes_are_brought_to_one(make_dataset, tmp_path):
    grey, colour = encoded(images(1)[0]), encoded(images(1, channels=3)[0])
    pack(tmp_path / "root/grey", {"a/1.png": grey, "a/2.png": grey, "b/1.png": grey})
    pack(tmp_path / "root/mixed", {"a/1.png": grey, "a/2.png": grey, "b/1.png": colour})
    for path, mode, channels in (
        ("grey", "auto", 1),
        ("grey", "rgb", 3),
        ("grey", "grey", 1),
        ("mixed", "auto", 3),
        ("mixed", "grey", 1),
    ):
        assert make_dataset("image_folder", path=path, mode=mode).train_images.shape[-1] == channels, (path, mode)


def test_palettes_are_what_they_look_like():
    pixels = np.uint8([[0, 1], [2, 2]])
    for palette, coloured in (([0, 0, 0, 9, 9, 9, 200, 200, 200], False), ([0, 0, 0, 9, 9, 9, 200, 0, 0], True)):
        image = Image.fromarray(pixels)
        image.putpalette(palette)
        for kind in ("png", "gif"):
            content = encoded(image, kind)
            assert _images.in_colour("x", content) == coloured
            np.testing.assert_array_equal(one(content), np.reshape(palette, (3, 3))[pixels])


def test_16_bits_are_scaled():
    values = np.uint16([[0, 128, 129], [256, 32896, 65535]])
    for kind in ("png", "tiff"):
        content = encoded(Image.fromarray(values), kind)
        assert not _images.in_colour("x", content)
        assert one(content, colour=False)[..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]
        assert one(content).shape == (2, 3, 3)
    with pytest.raises(StageError, match=r"x/1\.png has pixels of -5\.\.70000; save it with 8 or 16 bits"):
        one(encoded(Image.fromarray(np.int32([[-5, 70000]])), "tiff"))
    with pytest.raises(StageError, match=r"x/1\.png has floating-point pixels"):
        one(encoded(Image.fromarray(np.float32([[0.5, 1]])), "tiff"))


def test_transparency_is_laid_on_white():
    pixels = np.uint8([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]])
    assert one(encoded(pixels)).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
    assert one(encoded(np.uint8([[[7, 255], [7, 0]]])), colour=False)[..., 0].tolist() == [[7, 255]]
    assert not _images.in_colour("x", encoded(np.uint8([[[7, 255], [7, 0]]])))
    image = Image.fromarray(np.uint8([[0, 1]]))
    image.putpalette([1, 2, 3, 4, 5, 6])
    assert one(encoded(image, transparency=1)).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_luma_black_and_white_and_cmyk():
    pixels = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert one(encoded(pixels), colour=False)[..., 0].tolist() == [[76, 150, 29]]
    bits = Image.fromarray(np.uint8([[0, 255]])).convert("1")
    assert one(encoded(bits), colour=False)[..., 0].tolist() == [[0, 255]]
    assert _images.in_colour("x", encoded(Image.new("CMYK", (2, 2)), "jpeg"))
    assert one(encoded(Image.new("CMYK", (2, 2)), "jpeg")).tolist() == [[[255] * 3] * 2] * 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    pixels = images(1, 8, 16, 3)[0].repeat(8, axis=0).repeat(8, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = one(encoded(pixels, "png", exif=exif))
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("mode", ["auto", "rgb"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_an_image_that_cannot_be_read_is_named(make_dataset, tmp_path, kind, mode):
    good = encoded(images(1, 40, 40)[0])
    whole = encoded(images(1, 40, 40)[0], kind)
    for broken in (whole[: len(whole) // 2], whole[:20], b"", b"text"):
        pack(tmp_path / "root/own.zip", {"a/1.png": good, "a/2.png": good, "b/1.png": broken})
        with pytest.raises(StageError, match=r"b/1\.png cannot be read \("):
            make_dataset("image_folder", path="own.zip", mode=mode)


@pytest.mark.parametrize("side", [11, 20])
def test_an_image_of_too_many_pixels_is_named_and_a_key_lifts_the_limit(make_dataset, tmp_path, side):
    assert Image.MAX_IMAGE_PIXELS is None  # Pillow's own limit says nothing of the key
    files = {"a/1.png": images(1)[0], "a/2.png": images(1)[0], "b/1.png": images(1, side, side)[0]}
    pack(tmp_path / "root/own.zip", {name: encoded(pixels) for name, pixels in files.items()})
    found = rf"b/1\.png has {side} x {side} = {side**2} pixels, more than 100; mend .*write max_pixels: {side**2} if"
    with pytest.raises(StageError, match=found):
        make_dataset("image_folder", path="own.zip", size=4, max_pixels=100)
    assert make_dataset("image_folder", path="own.zip", size=4, max_pixels=side**2).train_labels.tolist() == [0, 1]


def test_more_pixels_than_memory_are_one_line():
    with pytest.raises(StageError, match=r"own: 1000000000 images of 5000 x 4000 pixels take 55,879,354 GiB of memory"):
        _images.allocated("own", Counter(train=10**9), (4000, 5000, 3))
