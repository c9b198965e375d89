"""Archives that lie, lead outside or are broken."""

import gc
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from helpers import FORMS, pack
from hypothesis import given, settings
from hypothesis import strategies as st

from poolflow.data import archives
from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")
RNG = np.random.default_rng(0)


def everything(path):
    return dict(archives.members(str(path), lambda name: True))


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_wanted_is_read(tmp_path, form):
    path = pack(tmp_path / form, {"a/1": b"one", "b": b"", "./c//d": b"x" * 2000})
    found = dict(archives.members(str(path), lambda name: name != "a/1"))
    assert found == {"a/1": None, "b": b"", "c/d": b"x" * 2000}


def tar_with(path, **changes):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("good/1.png"))
        info = tarfile.TarInfo("bad/2.png")
        for attribute, value in changes.items():
            setattr(info, attribute, value)
        archive.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)


TAR = {
    "absolute": ({"name": "/etc/passwd"}, "'/etc/passwd', a name that leads out"),
    "parent": ({"name": "a/../../b.png"}, "'a/../../b.png', a name that leads out"),
    "drive": ({"name": "C:\\b.png"}, "leads out"),
    "parent folder": ({"name": "a/..", "type": tarfile.DIRTYPE}, "leads out"),
    "symbolic link": ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "'bad/2.png', a link"),
    "hard link": ({"type": tarfile.LNKTYPE, "linkname": "good/1.png"}, "'bad/2.png', a link"),
    "FIFO": ({"type": tarfile.FIFOTYPE}, "'bad/2.png', a FIFO"),
    "device": ({"type": tarfile.BLKTYPE}, "'bad/2.png', a device"),
    "terminal": ({"type": tarfile.CHRTYPE}, "'bad/2.png', a device"),
    "twice": ({"name": "./good//1.png"}, "'./good//1.png', a name that is in the archive twice"),
}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("case", TAR)
def test_a_tar_archive_holds_plain_files_only(tmp_path, case, wanted):
    changes, message = TAR[case]
    tar_with(tmp_path / "a.tar", **changes)
    with pytest.raises(StageError, match=rf"a\.tar: refused {message}" if message[0] == "'" else message):
        list(archives.members(str(tmp_path / "a.tar"), lambda name: wanted))


ZIP = {
    "absolute": ("/etc/passwd", {}, "'/etc/passwd', a name that leads out"),
    "parent": ("a/../../b.png", {}, "leads out"),
    "parent of Windows": ("a\\..\\..\\b.png", {}, "leads out"),
    "drive": ("C:\\b.png", {}, "leads out"),
    "link": ("b.png", {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "'b.png', a link"),
    "FIFO": ("b.png", {"external_attr": (stat.S_IFIFO | 0o777) << 16}, "neither a file nor a directory"),
    "method": ("b.png", {"compress_type": zipfile.ZIP_BZIP2}, "another method than deflate"),
}


@pytest.mark.parametrize("case", ZIP)
def test_a_zip_archive_holds_plain_files_only(tmp_path, case):
    name, changes, message = ZIP[case]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        for attribute, value in changes.items():
            setattr(info, attribute, value)
        archive.writestr(info, b"content")
    with pytest.raises(StageError, match=message):
        everything(tmp_path / "a.zip")


def test_an_encrypted_member_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", {"secret.png": b"content"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the file's own header, and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"refused 'secret\.png', encrypted"):
        everything(path)


def test_names_of_windows_are_understood(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = "a\\b.png"
        archive.writestr(info, b"content")
    assert everything(tmp_path / "a.zip") == {"a/b.png": b"content"}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_more_than_the_limit_is_refused(tmp_path, monkeypatch, form):
    path = pack(tmp_path / form, {"a/1.png": bytes(5000), "a/2.png": bytes(5001)})
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 5000)
    with pytest.raises(StageError, match=r"refused 'a/2\.png' of 5,001 bytes, expected at most 5,000"):
        everything(path)


@pytest.mark.parametrize("form", FORMS[1:])
def test_an_archive_of_more_than_the_limit_is_refused(tmp_path, monkeypatch, form):
    path = pack(tmp_path / form, {f"{i}.png": bytes(5000) for i in range(10)})
    monkeypatch.setattr(archives, "TOTAL_LIMIT", 40_000)
    with pytest.raises(StageError, match=r"refused at '7\.png': the archive unpacks to more than 40,000 bytes"):
        list(archives.members(str(path), lambda name: False))


def test_a_zip_header_that_lies_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", {"a/1.png": bytes(2**26)})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[22:26] = content[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(Bad CRC-32 for file 'a/1\.png'\)"):
        everything(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_a_zip_header_that_claims_too_much_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", {"a/1.png": b"content"})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[22:26] = content[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(it ends within 'a/1\.png'\)"):
        everything(path)


def test_a_zip_directory_that_leaves_files_out_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", MANY)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 32] = 51  # the length of a comment, which hides the next entry
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(5 of 6 files are listed\)"):
        everything(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a comment"
        archive.writestr("1.png", b"content")
    assert everything(path) == {"1.png": b"content"}


def test_what_was_seen_of_a_tar_archive_is_forgotten(tmp_path):
    path = pack(tmp_path / "a.tar", {f"{i}": b"" for i in range(100)})
    for _ in archives.members(str(path), lambda name: True):
        kept = sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects())
    assert kept < 10


@pytest.mark.parametrize("size", [2**34, 2**60])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_header_that_claims_too_much_is_refused(tmp_path, kind, size):
    """A comment or a long name is read by tarfile in one piece."""
    info = tarfile.TarInfo("a/1.png")
    info.type, info.size = kind, size
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(StageError, match=rf"a\.tar: refused '.*' of {size:,} bytes"):
        everything(tmp_path / "a.tar")


MANY = {f"{i}.png": RNG.bytes(700) for i in range(6)}


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_truncated_archive_is_one_line(tmp_path, form):
    path = pack(tmp_path / form, MANY)
    content = path.read_bytes()
    end = 6 * (512 + 1024) if form.endswith(".tar") else len(content)  # a plain tar ends in more zeros than it must
    for size in sorted({*range(600, end, 97), *range(512, end, 512), end - 1, end}):
        path.write_bytes(content[:size])
        if size == len(content):
            assert everything(path) == MANY
            continue
        with pytest.raises(StageError, match=rf"{form} is damaged or truncated") as error:
            for name, value in archives.members(str(path), lambda name: True):
                assert value == MANY[name]
        assert "\n" not in str(error.value)
    for start in (b"", b"text", bytes(600)):
        path.write_bytes(start)
        with pytest.raises(StageError, match="is neither a folder nor a zip or tar archive"):
            everything(path)


@settings(deadline=None, max_examples=60)
@given(form=st.sampled_from(FORMS[1:]), place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_changed_byte_never_gives_other_content_or_a_traceback(tmp_path_factory, form, place, value):
    path = pack(tmp_path_factory.mktemp("a") / form, MANY)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= value
    path.write_bytes(content)
    try:
        found = everything(path)
    except StageError:
        return
    assert len(found) == len(MANY)
    if form != "own.tar":  # whose content has no checksum
        assert list(found.values()) == list(MANY.values())


def test_a_folder_s_links_are_followed_but_not_in_circles(tmp_path):
    pack(tmp_path / "real", {"1.png": b"one"})
    pack(tmp_path / "own", {"a/2.png": b"two"})
    (tmp_path / "own/b").symlink_to(tmp_path / "real")
    assert everything(tmp_path / "own") == {"a/2.png": b"two", "b/1.png": b"one"}
    (tmp_path / "own/a/again").symlink_to(tmp_path / "own")
    with pytest.raises(StageError, match=r"own/a/again is the same folder as .*own; remove the link"):
        everything(tmp_path / "own")


def test_a_fifo_in_a_folder_is_named_not_waited_for(tmp_path):
    pack(tmp_path / "own", {"a/1.png": b"one"})
    os.mkfifo(tmp_path / "own/a/2.png")
    with pytest.raises(StageError, match=r"own/a/2\.png is not a file"):
        everything(tmp_path / "own")
