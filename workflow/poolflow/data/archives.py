"""The files of a folder, or of a zip or tar archive, in memory: nothing is ever unpacked to the disk."""

import bz2
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib

from poolflow.data.listing import Loop, walk
from poolflow.job import StageError

MEMBER_LIMIT = 2**28  # bytes of one file, 256 MiB
TOTAL_LIMIT = 2**36  # bytes of all files of an archive, 64 GiB
MAGIC = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open, b"BZh": bz2.open}
BLOCK = 512  # bytes, of a tar archive
KINDS = {tarfile.LNKTYPE: "a link", tarfile.SYMTYPE: "a link", tarfile.GNUTYPE_SPARSE: "a sparse file"}
KINDS |= {tarfile.FIFOTYPE: "a FIFO", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device"}
DAMAGE = (EOFError, ValueError, RuntimeError, OverflowError, struct.error, zlib.error, lzma.LZMAError)
DAMAGE += (tarfile.TarError, zipfile.BadZipFile)


def members(path, wanted):
    """Yield (name, content) of each file in a folder or an archive, content None unless `wanted(name)`.

    Names are relative, with "/" and without "." parts. An archive's files come in its own order, a folder's sorted.
    The kind of an archive is told by its first bytes: zip, or tar that is plain or packed with gzip, xz or bzip2.

    Of an archive, nothing but plain files and directories is accepted, wanted or not: an absolute name, "..", a link,
    a device, a FIFO, a sparse or an encrypted file, two files of one name, more than MEMBER_LIMIT bytes in one file
    or TOTAL_LIMIT in all are refused, whatever the headers claim. In a folder, which is the user's own, links are
    followed.

    Raises
    ------
    StageError
        Naming the file that is refused, or the archive that is missing, damaged or truncated.
    """
    try:
        if os.path.isdir(path):
            yield from _folder(path, wanted)
        else:
            with open(path, "rb") as file:
                start = file.read(BLOCK)
            source = _zip(path) if start.startswith(b"PK") else _tar(path, start)
            yield from _checked(path, source, wanted)
    except FileNotFoundError as error:
        raise StageError(
            f"{error.filename} is missing; put it there, or correct path or data_root, the folder that it counts from"
        ) from error
    except Loop as error:
        raise StageError(str(error)) from error
    except DAMAGE as error:
        raise StageError(f"{path} is damaged or truncated ({error}); copy or download it again") from error
    except OSError as error:
        raise StageError(f"cannot read {path}: {error}") from error


def _folder(path, wanted):
    for name in walk(path):
        if not wanted(name):
            yield name, None
            continue
        full = os.path.join(path, name)
        status = os.stat(full)
        if not stat.S_ISREG(status.st_mode):
            raise StageError(f"{full} is not a file; remove it")
        _limit(path, name, status.st_size)
        with open(full, "rb") as file:
            yield name, file.read()


def _checked(path, source, wanted):
    """Yield the `members` of an archive out of the (name, size or None for a directory, reader) of each entry."""
    seen, total = set(), 0
    for entry, size, read in source:
        parts = [part for part in entry.split("/") if part not in ("", ".")]
        if entry.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:[/\\]", entry):
            _refuse(path, entry, "a name that leads out of the archive")
        if size is None:
            continue
        _limit(path, entry, size)
        name = "/".join(parts)
        if name in seen:
            _refuse(path, entry, "a name that is in the archive twice")
        seen.add(name)
        total += size + BLOCK
        if total > TOTAL_LIMIT:
            raise StageError(f"{path}: refused at {entry!r}: the archive unpacks to more than {TOTAL_LIMIT:,} bytes")
        yield name, read() if wanted(name) else None


def _zip(path):
    with zipfile.ZipFile(path) as archive:
        _complete(path, len(archive.infolist()))
        for info in archive.infolist():
            name = _told(info).replace("\\", "/")
            if info.is_dir():
                yield name, None, None
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                _refuse(path, name, "a link" if kind == stat.S_IFLNK else "neither a file nor a directory")
            if info.flag_bits & 1:
                _refuse(path, name, "encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                _refuse(path, name, "packed by another method than deflate")

            def read(info=info):
                with archive.open(info) as file:
                    # Asked for a number of bytes, zipfile unpacks no more, whatever follows.
                    return _whole(info.filename, file.read(info.file_size), info.file_size)

            yield name, info.file_size, read


def _told(info):
    """Return the name of a file in a zip archive. Many programs write UTF-8 and do not set the flag that says so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _complete(path, found):
    """Raise BadZipFile unless a zip archive has the number of files that its end tells, which zipfile ignores."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2**16 - 22))
        tail = file.read()
    (told,) = struct.unpack_from("<H", tail, tail.rindex(b"PK\5\6") + 10)
    if told not in (found % 2**16, 2**16 - 1):  # the latter: too many for the field
        raise zipfile.BadZipFile(f"{found} of {told} files are listed")


def _tar(path, start):
    opener = next((opener for magic, opener in MAGIC.items() if start.startswith(magic)), None)
    if not opener and start[257:262] != b"ustar":
        raise StageError(f"{path} is neither a folder nor a zip or tar archive")
    with (opener or open)(path, "rb") as stream, tarfile.open(fileobj=Bounded(path, stream), mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # else tarfile keeps all that it has seen
            if member.isdir():
                yield member.name, None, None
                continue
            if not member.isreg() or member.issparse():
                _refuse(path, member.name, KINDS.get(member.type, "neither a file nor a directory"))

            def read(member=member):
                stream.seek(member.offset_data)
                return _whole(member.name, stream.read(member.size), member.size)

            yield member.name, member.size, read
        # tarfile takes a damaged header, and a missing end, for the end.
        stream.seek(archive.offset)
        if stream.read(BLOCK) != bytes(BLOCK):
            raise EOFError("it has no end")
        for _ in range(TOTAL_LIMIT // 2**20):  # up to the checksum of what was packed
            if not stream.read(2**20):
                break


class Bounded:
    """A stream that gives no more than MEMBER_LIMIT bytes at once: tarfile reads names and comments in one piece."""

    def __init__(self, path, stream):
        self.path, self.stream = path, stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size):
        _limit(self.path, "a header", size)
        return self.stream.read(size)


def _whole(name, content, size):
    if len(content) < size:
        raise EOFError(f"it ends within {name!r}")
    return content


def _limit(path, name, size):
    if not 0 <= size <= MEMBER_LIMIT:
        raise StageError(f"{path}: refused {name!r} of {size:,} bytes, expected at most {MEMBER_LIMIT:,}")


def _refuse(path, name, what):
    raise StageError(f"{path}: refused {name!r}, {what}; pack plain files under relative names, each once")
