"""The user's own files: what is read of a folder is what is noticed when it changes, by its content."""

import json
import os
import shutil
import struct
import time
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest
from conftest import ROOT
from helpers import FILES, encoded, images, imported, pack, write

from poolflow.data import archives, listing
from poolflow.datasets import _images
from poolflow.job import StageError
from poolflow.study import settings
from poolflow.study.config import ConfigError, check


def fingerprint(root, path="own", dataset="image_folder"):
    """Return the fingerprint of the user's files as a fresh Snakemake sees it."""
    study = check({"data_root": str(root), "datasets": {"mine": {"dataset": dataset, "path": path}}})
    return settings.fingerprint(study, "mine", "path")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of images, some time old; Snakemake's folder lies elsewhere."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    folder = pack(tmp_path / "root/own", FILES)
    age(folder)
    return folder


def age(folder, seconds=3600):
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


def first(folder):
    return next(path for path in sorted(folder.rglob("*.png")))


SAME = {
    "nothing": lambda folder: None,
    "touched": lambda folder: [os.utime(path) for path in folder.rglob("*.png")],
    "written once more": lambda folder: first(folder).write_bytes(first(folder).read_bytes()),
    "a hidden file": lambda folder: (folder / "train/.DS_Store").write_text("x"),
    "notes": lambda folder: (folder / "train/cat/notes.txt").write_text("x"),
    "thumbnails": lambda folder: write(folder, {"train/cat/@eaDir/1.png": b"x", "__MACOSX/a.png": b"x"}),
    "an empty folder": lambda folder: (folder / "train/bird").mkdir(),
}
OTHER = {
    "an image more": lambda folder: (folder / "train/cat/new.png").write_bytes(first(folder).read_bytes()),
    "an image less": lambda folder: first(folder).unlink(),
    "another class": lambda folder: first(folder).rename(folder / "train/dog/moved.png"),
    "another name": lambda folder: first(folder).rename(first(folder).with_name("other.png")),
    "another content": lambda folder: first(folder).write_bytes(encoded(images(1, 6, 6, 3)[0])),
    "two contents exchanged": lambda folder: exchange(*sorted(folder.rglob("*.png"))[:2]),
}


def exchange(one, other):
    content = one.read_bytes(), other.read_bytes()
    other.write_bytes(content[0])
    one.write_bytes(content[1])


@pytest.mark.parametrize("change", SAME)
def test_what_is_not_read_or_is_the_same_changes_nothing(own, change):
    before = fingerprint(own.parent)
    SAME[change](own)
    assert fingerprint(own.parent) == before


@pytest.mark.parametrize("change", OTHER)
def test_what_is_read_and_is_another_is_noticed(own, change):
    before = fingerprint(own.parent)
    OTHER[change](own)
    assert fingerprint(own.parent) != before


def test_another_content_of_the_same_size_is_noticed_at_once(own):
    path = first(own)
    seen = set()
    for byte in range(5):
        path.write_bytes(path.read_bytes()[:-1] + bytes([byte]))
        seen.add(fingerprint(own.parent))
    assert len(seen) == 5


def test_a_copy_elsewhere_is_the_same(own, tmp_path):
    shutil.copytree(own, tmp_path / "elsewhere/own")
    assert fingerprint(tmp_path / "elsewhere") == fingerprint(own.parent)


def test_linked_folders_are_read_and_noticed(own, tmp_path):
    pack(tmp_path / "far", {"1.png": encoded(images(1, 6, 6, 3)[0])})
    (own / "train/linked").symlink_to(tmp_path / "far")
    before = fingerprint(own.parent)
    assert "train/linked/1.png" in [name for name, _ in archives.members(str(own), lambda name: False)]
    (tmp_path / "far/1.png").write_bytes(encoded(images(1, 6, 6, 3)[0]))
    assert fingerprint(own.parent) != before


def test_a_folder_within_itself_is_one_line(own):
    (own / "train/cat/again").symlink_to(own)
    with pytest.raises(
        ConfigError, match=r"^datasets\.mine\.path: .*/again is the same folder as .*; remove the link$"
    ):
        fingerprint(own.parent)


@pytest.mark.parametrize("form", ["own.zip", "own.npz"])
def test_a_single_file_counts_by_its_content(own, form):
    path = own.parent / form
    path.write_bytes(b"some")
    before = fingerprint(own.parent, form)
    os.utime(path, (time.time() - 99,) * 2)
    assert fingerprint(own.parent, form) == before
    path.write_bytes(b"more")
    assert fingerprint(own.parent, form) != before


def test_unchanged_files_are_not_read_again(own, monkeypatch):
    before, opened = fingerprint(own.parent), []

    def noted(path, *rest, **more):
        opened.append(str(path))
        return open(path, *rest, **more)

    monkeypatch.setattr(listing, "open", noted, raising=False)
    assert fingerprint(own.parent) == before
    assert [path for path in opened if path.endswith(".png")] == []
    os.utime(first(own), (time.time() - 50,) * 2)
    assert fingerprint(own.parent) == before
    assert [path for path in opened if path.endswith(".png")] == [str(first(own))]


@pytest.mark.parametrize("content", [None, "", "[]", '{"path": 1}', '{"path": "x", "files": {"a": [1]}}', "\x00"])
def test_a_broken_index_is_no_index(own, content):
    before = fingerprint(own.parent)
    (index,) = (own.parents[1] / "run/.snakemake/poolflow").iterdir()
    index.unlink() if content is None else index.write_text(content)
    assert fingerprint(own.parent) == before
    assert json.loads(index.read_text())["path"] == str(own)


def test_where_no_index_can_be_written_all_is_read(own, monkeypatch):
    before = fingerprint(own.parent)
    monkeypatch.setattr(settings, "INDEX", "/proc/none")
    assert fingerprint(own.parent) == before


def test_the_user_s_folder_is_only_read(own):
    def snapshot():
        return {path: path.stat().st_mtime_ns for path in [own, *own.rglob("*")]}

    before = snapshot()
    fingerprint(own.parent)
    assert snapshot() == before


def test_home_may_be_written_as_a_tilde(own, monkeypatch):
    monkeypatch.setenv("HOME", str(own.parents[1]))
    assert fingerprint("~/root") == fingerprint(own.parent) == fingerprint("/none", "~/root/own")


def test_names_that_are_no_text_are_names(own):
    with open(os.fsencode(own) + b"/train/cat/\xff.png", "wb") as file:
        file.write(encoded(images(1, 6, 6, 3)[0]))
    assert len(fingerprint(own.parent)) == 16


def test_the_endings_of_a_folder_are_those_of_its_reader():
    from poolflow.datasets import image_folder

    assert set(image_folder.ENDINGS) == {*_images.COMMON, *_images.RARE} >= set(_images.EXTENSIONS)


def test_the_snakefile_s_part_of_it_imports_nothing_heavy(stage):
    import subprocess
    import sys

    code = "import poolflow.study.settings, poolflow.study.files"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert imported(done).isdisjoint({"numpy", "PIL", "h5py", "torch", "pandas"})


# What image_folder makes of them


def numbered(*names):
    """Return an image of its own for each name."""
    return {name: encoded(pixels) for name, pixels in zip(names, images(len(names), 6, 6, 3), strict=True)}


PARTS = {
    "Train and Test": (["Train/a/1.png", "Train/b/1.png", "Test/a/1.png", "Test/b/1.png"], "found the folder Test"),
    "training, testing": (["training/a/1.png", "testing/b/1.png"], "found the folder testing"),
    "validation alone": (
        ["validation/1.png", "a/1.png", "b/1.png"],
        "found the folder validation, which is called like",
    ),
    "unlabelled": (["unlabelled/1.png", "a/1.png", "b/1.png"], r"found the folder unlabelled.*or test:, unlabeled:"),
    "folders of the same names": (
        ["left/ill/1.png", "left/well/1.png", "right/ill/1.png", "right/well/1.png"],
        r"found the folders ill, well in each of left, right, .*write train: left and test: right.*classes: \[left",
    ),
    "other words for them": (
        ["train_set/a1.png", "test_set/a1.png"],
        "found the folder test_set, which is called like",
    ),
    "with a year": (["train2017/a/1.png", "val2017/b/1.png"], "found the folder train2017, which is called like"),
    "most of them with the same": (
        ["left/ill/1.png", "left/well/1.png", "right/ill/1.png", "right/well/1.png", "up/1.png"],
        "found the folders ill, well in most of left, right, up",
    ),
    "several images outside": (
        ["1.png", "2.png", "a/1.png", "b/1.png"],
        r"found 1\.png, 2\.png outside the class folders, expected each",
    ),
    "val beside train": (
        ["train/a/1.png", "val/a/1.png", "test/a/1.png"],
        "found the folder val beside train and test",
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_folders_that_look_like_parts_are_no_classes(make_dataset, tmp_path, case):
    names, message = PARTS[case]
    pack(tmp_path / "root/own", numbered(*names))
    with pytest.raises(Exception, match=message) as error:
        make_dataset("image_folder", path="own")
    assert type(error.value).__name__ == "StageError"
    assert "\n" not in str(error.value)


def test_they_are_what_the_config_says_they_are(make_dataset, tmp_path):
    names = [f"{part}/{label}/{i}.png" for part in ("Train", "Test") for label in "ab" for i in range(3)]
    pack(tmp_path / "root/own", numbered(*names))
    assert make_dataset("image_folder", path="own", train="Train", test="Test").classes == ["a", "b"]
    found = make_dataset("image_folder", path="own", classes=["Test", "Train"])
    assert found.classes == ["Test", "Train"]


def test_what_was_read_is_one_line_for_people(make_dataset, tmp_path, capsys):
    names = [*(f"well/{i}.png" for i in range(12)), *(f"ill/{i}.png" for i in range(8)), "unlabeled/x.png"]
    others = {"well/notes.txt": b"", "rare/1.heic": b"", "rare/2.heic": b"", "well/@eaDir/1.png": b"", ".x": b""}
    pack(tmp_path / "root/cells", numbered(*names) | others)
    (tmp_path / "root/cells/empty").mkdir()
    make_dataset("image_folder", path="cells")
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "image_folder: 2 classes, ill 6, well 10; 1 without a label; 4 for the test; skipped 5, as rare/1.heic; "
        "Pillow has no reader for .heic here; no image in empty, rare"
    )


def test_many_classes_are_summed_up_and_any_name_can_be_printed(make_dataset, tmp_path, capsys):
    names = [f"{i:02}-é/{j}.png" for i in range(15) for j in range(2 + (i == 3))]
    pack(tmp_path / "root/own", numbered(*names))
    make_dataset("image_folder", path="own")
    assert "15 classes, 1 to 2 images each; 15 for the test" in capsys.readouterr().out


def test_the_line_reaches_the_terminal_through_snakemake(finished):
    log = sorted((finished.folder / ".snakemake/log").glob("*.log"))
    assert log
    assert "digits: 10 classes" in (finished.folder / "results/tiny/logs/digits/dataset.log").read_text()


def test_composed_and_decomposed_letters_are_one_class(make_dataset, tmp_path):
    one, other = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert one != other
    pack(
        tmp_path / "root/own.zip",
        numbered(*(f"{e}/{i}.png" for i, e in enumerate((one, other) * 3)), "b/1.png", "b/2.png"),
    )
    for more in ({}, {"classes": ["b", other]}):
        found = make_dataset("image_folder", path="own.zip", **more)
        assert found.classes == ["b", one]
        assert len(found.train_labels) + len(found.test_labels) == 8


def test_names_in_zip_archives_are_what_they_are(tmp_path):
    for number, (name, flag) in enumerate((("ä/日.png", True), ("ä/日.png", False), ("caf\u00e9.png", None))):
        path = tmp_path / f"{number}.zip"
        content = name.encode("cp437" if flag is None else "utf-8")  # the former is an old program's

        class Info(zipfile.ZipInfo):
            def _encodeFilenameFlags(self, content=content, flag=flag):
                return content, 0x800 if flag else 0

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(Info(name), b"x")
        assert [member for member, _ in archives.members(str(path), lambda name: False)] == [name]


def test_all_images_that_cannot_be_read_are_named_at_once_or_left_out(make_dataset, tmp_path, capsys):
    good = numbered(*(f"{label}/{i:02}.png" for label in "ab" for i in range(10)))
    broken = {f"{label}/bad{i}.png": b"no image" for label in "ab" for i in range(3)}
    pack(tmp_path / "root/own", good | broken)
    for mode in ("auto", "rgb"):
        with pytest.raises(Exception, match=r"6 of 26 images cannot be used: .*write unreadable: skip") as error:
            make_dataset("image_folder", path="own", mode=mode)
        assert all(name in str(error.value) for name in broken)
    capsys.readouterr()
    found = make_dataset("image_folder", path="own", unreadable="skip")
    assert sorted(found.train_names + found.test_names) == sorted(good)
    assert len(found.train_images) == len(found.train_labels) == len(found.train_names)
    assert "left out 6 that cannot be read, as a/bad0.png" in capsys.readouterr().out
    pack(tmp_path / "root/none", broken)
    with pytest.raises(Exception, match="6 of 6 images cannot be used"):
        make_dataset("image_folder", path="none", unreadable="skip")


def test_all_images_of_another_size_are_named(make_dataset, tmp_path):
    others = {f"b/{i}.png": encoded(images(1, 7, 9)[0]) for i in range(30)}
    pack(tmp_path / "root/own", numbered("a/1.png", "a/2.png") | others)
    with pytest.raises(
        Exception, match=r"found a/1\.png of 6 x 6 pixels and b/0\.png of 9 x 7, .* and 10 more, expected"
    ):
        make_dataset("image_folder", path="own")


def test_twelve_bits_in_sixteen_come_out_dark_and_a_key_mends_it(make_dataset, tmp_path, capsys):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 4096, (6, 5, 5)).astype(np.uint16)
    pixels[:, 0, 0] = 4095
    files = {f"{'ab'[i % 2]}/{i}.png": encoded(Image.fromarray(image)) for i, image in enumerate(pixels)}
    pack(tmp_path / "root/own", files)
    dark = make_dataset("image_folder", path="own")
    assert dark.train_images.max() < 20
    line = "6 images of 16 bits use none of the upper half, and come out dark: write bits: 12"
    assert line in capsys.readouterr().out
    found = make_dataset("image_folder", path="own", bits=12)
    assert "upper half" not in capsys.readouterr().out
    images_of = dict(zip(found.train_names + found.test_names, [*found.train_images, *found.test_images], strict=True))
    for i, image in enumerate(pixels):
        np.testing.assert_array_equal(images_of[f"{'ab'[i % 2]}/{i}.png"][..., 0], np.rint(image / 4095 * 255))
    with pytest.raises(Exception, match=r"has pixels up to 4095, more than 11 bits hold; write bits: 16"):
        make_dataset("image_folder", path="own", bits=11)


@pytest.mark.parametrize("ending", ["jfif", "avif"])
def test_other_endings_are_images(make_dataset, tmp_path, ending):
    kind = {"jfif": "jpeg"}.get(ending, ending)
    files = {
        f"{label}/{i}.{ending}": encoded(pixels, kind)
        for label in "ab"
        for i, pixels in enumerate(images(3, 16, 16, 3))
    }
    pack(tmp_path / "root/own", files)
    assert len(make_dataset("image_folder", path="own").train_labels) == 4


def duplicated():
    pictures = list(numbered(*map(str, range(20))).values())
    files = {f"train/{'ab'[i % 2]}/{i:02}.png": pictures[i] for i in range(10)}
    files |= {f"test/{'ab'[i % 2]}/{i:02}.png": pictures[i] for i in range(10, 14)}
    return files, pictures


def test_an_image_in_two_classes_and_one_in_train_and_test(make_dataset, tmp_path, capsys):
    files, pictures = duplicated()
    files |= {"train/b/00.png": pictures[0], "train/a/13.png": pictures[12], "train/a/again.png": pictures[2]}
    pack(tmp_path / "root/own", files)
    kept = make_dataset("image_folder", path="own")
    said = capsys.readouterr().out
    assert "1 image in two classes: train/a/00.png = train/b/00.png" in said
    assert "1 image in the training and the test set: train/a/13.png = test/a/12.png" in said
    assert "1 image more than once in a class: train/a/02.png = train/a/again.png" in said
    assert len(kept.train_names) + len(kept.test_names) == len(files)
    with pytest.raises(
        Exception, match=r"1 image in two classes: .*; 1 image in the training .*write duplicates: keep"
    ):
        make_dataset("image_folder", path="own", duplicates="refuse")
    found = make_dataset("image_folder", path="own", duplicates="drop")
    gone = {"train/a/00.png", "train/b/00.png", "train/a/13.png", "train/a/again.png"}
    assert sorted(found.train_names + found.test_names) == sorted(files.keys() - gone)
    assert "dropped 4 of them" in capsys.readouterr().out


def test_duplicates_of_one_class_are_no_reason_to_refuse(make_dataset, tmp_path):
    files, pictures = duplicated()
    pack(tmp_path / "root/own", files | {"train/a/again.png": pictures[2]})
    assert len(make_dataset("image_folder", path="own", duplicates="refuse").train_names) == 11


def test_folders_whose_names_are_no_text_are_classes(make_dataset, tmp_path, capsys):
    pack(tmp_path / "root/own", numbered(*(f"a/{i}.png" for i in range(3))))
    strange = os.fsencode(tmp_path / "root/own") + b"/\xff"
    os.mkdir(strange)
    for name, content in numbered("1.png", "2.png").items():
        with open(strange + b"/" + name.encode(), "wb") as file:
            file.write(content)
    found = make_dataset("image_folder", path="own")
    assert found.classes == ["a", "\\udcff"]
    assert "a 2, \\udcff 1" in capsys.readouterr().out


def test_names_of_classes_may_be_like_parts_but_not_called_so(make_dataset, tmp_path):
    pack(tmp_path / "root/own", numbered(*(f"{name}/{i}.png" for name in ("testis", "trains", "a1") for i in "12")))
    assert make_dataset("image_folder", path="own").classes == ["a1", "testis", "trains"]


def test_all_folders_that_are_no_class_are_named(make_dataset, tmp_path):
    pack(tmp_path / "root/own", numbered("a/1.png", "c/1.png", "c/2.png", "d/1.png"))
    message = r"found c/1\.png, d/1\.png in the folders c, d, expected one of the classes a, b; add c, d to them"
    with pytest.raises(StageError, match=message):
        make_dataset("image_folder", path="own", classes=["a", "b"])


def test_other_sizes_and_unreadable_images_are_named_in_one_run(make_dataset, tmp_path):
    files = numbered("a/1.png", "a/2.png", "b/1.png") | {"b/2.png": encoded(images(1, 7, 9)[0]), "b/3.png": b"none"}
    pack(tmp_path / "root/own", files)
    sizes = r"found a/1\.png of 6 x 6 pixels and b/2\.png of 9 x 7, expected one size"
    with pytest.raises(StageError, match=rf"{sizes}.*; b/3\.png cannot be read \(.*write unreadable: skip"):
        make_dataset("image_folder", path="own")
    with pytest.raises(StageError, match=sizes) as error:
        make_dataset("image_folder", path="own", unreadable="skip")
    assert "b/3.png" not in str(error.value)


def test_one_run_tells_the_limit_that_all_images_are_within(make_dataset, tmp_path):
    pack(
        tmp_path / "root/own", {f"{label}/{i}.png": encoded(images(1, i, i)[0]) for label in "ab" for i in (9, 20, 30)}
    )
    with pytest.raises(StageError, match=r"4 of 6 images cannot be used: .*, write max_pixels: 900 if"):
        make_dataset("image_folder", path="own", size=4, max_pixels=100)
    assert len(make_dataset("image_folder", path="own", size=4, max_pixels=900).train_labels) == 4


def test_a_data_set_without_these_keys_does_not_advise_them(tmp_path):
    pack(tmp_path / "own", {"a/1.png": b"none"})
    with pytest.raises(StageError, match=r"a/1\.png cannot be read .*; mend or remove them$"):
        _images.load(str(tmp_path / "own"), {"a/1.png": ("train", 0)}, colour=True)


def deep_colour(highest):
    """Return a PNG file in colour with 16 bits a channel, which Pillow cannot write."""
    values = np.random.default_rng(0).integers(0, highest, (6, 18)).astype(">u2")
    values[0, 0] = highest

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 6, 6, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_dark_colour_images_of_sixteen_bits_are_said(make_dataset, tmp_path, capsys):
    pack(tmp_path / "root/dark", {f"{label}/{i}.png": deep_colour(4095) for label in "ab" for i in range(3)})
    pack(tmp_path / "root/full", {f"{label}/{i}.png": deep_colour(65535) for label in "ab" for i in range(3)})
    line = "6 colour images of 16 bits use none of the upper half, and come out dark: save them with 8 bits"
    make_dataset("image_folder", path="dark")
    assert line in capsys.readouterr().out
    make_dataset("image_folder", path="full")
    assert "upper half" not in capsys.readouterr().out
    with pytest.raises(StageError, match=r"a/0\.png is in colour with 16 bits, and bits: 12 is for grey images"):
        make_dataset("image_folder", path="dark", bits=12)


def test_what_is_said_is_one_line_that_no_name_breaks(make_dataset, tmp_path, capsys):
    pack(
        tmp_path / "root/own", numbered("é/1.png", "é/2.png", "b/1.png", "b/2.png") | {"b/two\nlines\x1b[31m.txt": b""}
    )
    make_dataset("image_folder", path="own")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(r"2 classes, b 1, é 1; 2 for the test; skipped 1, as b/two\nlines\x1b[31m.txt")


def test_classes_that_differ_in_case_or_spaces_only_are_said(make_dataset, tmp_path, capsys):
    pack(tmp_path / "root/own", numbered(*(f"{name}/{i}.png" for name in ("Cat", "cat", "cat ", "dog") for i in "12")))
    make_dataset("image_folder", path="own")
    assert "'Cat' and 'cat' and 'cat ' are different classes" in capsys.readouterr().out


def test_folders_of_systems_are_not_read_whatever_their_case(make_dataset, tmp_path, capsys):
    others = {f"{folder}/1.png": b"" for folder in ("$Recycle.Bin", "#recycle", "a/@EADIR", "Lost+Found", "b/.thumbs")}
    pack(tmp_path / "root/own", numbered("a/1.png", "a/2.png", "b/1.png", "b/2.png") | others)
    assert make_dataset("image_folder", path="own").classes == ["a", "b"]
    assert "skipped 5" in capsys.readouterr().out


def test_a_link_to_an_empty_folder_is_said(make_dataset, tmp_path, capsys):
    pack(tmp_path / "root/own", numbered("a/1.png", "a/2.png", "b/1.png", "b/2.png"))
    (tmp_path / "nothing").mkdir()
    (tmp_path / "root/own/c").symlink_to(tmp_path / "nothing")
    make_dataset("image_folder", path="own")
    assert "no image in c" in capsys.readouterr().out


@pytest.mark.parametrize(("root", "path"), [("~nobody-of-this-name", "own"), ("/tmp", "~nobody-of-this-name/own")])
def test_the_home_of_nobody_is_one_line(root, path):
    with pytest.raises(
        ConfigError, match=r"^datasets\.mine\.path: found nothing at .*~nobody-of-this-name/own, expected"
    ):
        fingerprint(root, path)
