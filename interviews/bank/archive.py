"""A pack as one zip file, as a browser sends and gets it. Plain Python; what the files say is `files.py`'s to check.

Whoever sends one is an admin, and still nothing of it is believed: no path leaves the archive, because nothing is unpacked to a disk, and what it may hold is
bounded before a byte of it is inflated, and again while it is: an entry may lie about its size.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import PurePosixPath

from interviews.bank.files import MAX_FILE_BYTES, PACK, BankError, as_text

MAX_ARCHIVE = 8 * 1024 * 1024  # bytes as they are sent
MAX_ENTRIES = 2000
MAX_CONTENT = 32 * 1024 * 1024  # bytes of all files
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows: the same files are the same archive on any day
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, LookupError)


def pack_up(slug: str, files: Mapping[str, str]) -> bytes:
    """The files in a folder called by the slug, as a zip archive."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{slug}/{path}", EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, text.encode())
    return target.getvalue()


def unpack(content: bytes) -> dict[str, str]:
    """The files of the one pack in a zip archive, by their path beside its `pack.yaml`. What lies outside its folder, and what desktops add, is left out.

    Raises:
        BankError: no zip archive, too much in it, no pack or several, or a file that is no text.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = dict(_entries(archive))
            root = _root(entries)
            beside = {path.relative_to(root).as_posix(): entry for path, entry in entries.items() if path.is_relative_to(root)}
            wanted = {name: entry for name, entry in beside.items() if name == PACK or "/" in name}
            return {name: _text(archive, entry, name) for name, entry in wanted.items()}
    except BankError:
        raise
    except BROKEN as error:
        raise BankError("the archive", 1, f"can't be read as a zip file: {error}") from error


def _entries(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The archive's files by path, none of them read yet."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_CONTENT:
        raise BankError("the archive", 1, f"holds more than {MAX_ENTRIES} files, or more than {MAX_CONTENT // 2**20} MiB")
    seen = set()
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise BankError(entry.filename, 1, "the path leads out of the archive")
        if path in seen:
            raise BankError(entry.filename, 1, "the file is there twice")
        seen.add(path)
        if not any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            yield path, entry


def _root(entries: Mapping[PurePosixPath, zipfile.ZipInfo]) -> PurePosixPath:
    """The folder that holds the pack."""
    roots = sorted(path.parent for path in entries if path.name == PACK)
    if not roots:
        raise BankError(PACK, 1, "the archive has no such file: put the pack's folder into it, with pack.yaml and a folder for each question")
    if len(roots) > 1:
        raise BankError(str(roots[1] / PACK), 1, f"a second pack, beside {roots[0] / PACK}: upload each by itself")
    return roots[0]


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise BankError(name, 1, "a link, and no file")
    if entry.flag_bits & 1:
        raise BankError(name, 1, "is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BankError(name, 1, "is compressed in another way than zip files mostly are (deflate)")
    if entry.file_size > MAX_FILE_BYTES:
        raise BankError(name, 1, f"larger than {MAX_FILE_BYTES // 1024} KiB")
    with archive.open(entry) as file:
        return as_text(file.read(MAX_FILE_BYTES + 1), name)  # told how much, it inflates no more; a size that lies fails by its checksum
