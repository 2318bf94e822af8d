"""A pack as a zip file: what goes in comes out, and nothing that an archive can be made to do gets past the door."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interviews.bank import archive
from interviews.bank.archive import pack_up, unpack
from interviews.bank.files import MAX_FILE_BYTES, BankError

FILES = {"pack.yaml": "slug: small\n", "a-question/prompt.md": "Née, 中文, 👩‍💻\n", "a-question/answers/l5.md": "Two.\r\n"}


def zipped(files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED, change: Callable[[zipfile.ZipInfo], None] = lambda entry: None) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as written:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = method
            change(entry)
            written.writestr(entry, content)
    return target.getvalue()


def test_what_is_packed_up_comes_out_and_is_the_same_archive_each_time() -> None:
    packed = pack_up("small", FILES)
    assert unpack(packed) == FILES
    assert pack_up("small", dict(reversed(FILES.items()))) == packed
    with zipfile.ZipFile(io.BytesIO(packed)) as read:
        assert sorted(read.namelist()) == sorted(f"small/{path}" for path in FILES)


@pytest.mark.parametrize("folder", ["", "small/", "repository/banks/small/"])
def test_the_folder_around_a_pack_and_what_lies_beside_it_do_not_matter(folder: str) -> None:
    beside = {"README.md": "Not of the pack.\n", f"{folder}LICENSE": "No question's.\n", f"{folder}.git/pack.yaml": "slug: other\n"}
    desktop = {f"{folder}.DS_Store": b"\0\1", f"{folder}a-question/.DS_Store": b"\xff", f"__MACOSX/{folder}._pack.yaml": b"\xfe"}
    assert unpack(zipped({f"{folder}{path}": text for path, text in FILES.items()} | beside | desktop)) == FILES


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"a/prompt.md": "x"}, r"^pack.yaml:1: the archive has no such file: put the pack's folder into it"),
        ({"a/pack.yaml": "x", "b/pack.yaml": "y"}, r"^b/pack.yaml:1: a second pack, beside a/pack.yaml"),
        ({"pack.yaml": "x", "../evil.md": "y"}, r"^\.\./evil\.md:1: the path leads out of the archive"),
        ({"pack.yaml": "x", "/etc/passwd": "y"}, r"the path leads out of the archive"),
        ({"pack.yaml": "x", "a\\b.md": "y"}, r"the path leads out of the archive"),
        ({"pack.yaml": "x", "a/prompt.md": b"caf\xe9"}, r"^a/prompt.md:1: not UTF-8: .* at byte 3"),
        ({"pack.yaml": "x", "a/prompt.md": "y" * (MAX_FILE_BYTES + 1)}, r"^a/prompt.md:1: larger than 512 KiB"),
        ({f"a/{n}.md": "" for n in range(archive.MAX_ENTRIES + 1)}, r"^the archive:1: holds more than 2000 files"),
        ({}, r"^pack.yaml:1: the archive has no such file"),
    ],
)  # fmt: skip
def test_what_is_no_pack_is_refused_with_the_reason(files: dict[str, bytes | str], fault: str) -> None:
    with pytest.raises(BankError, match=fault):
        unpack(zipped(files))


def test_links_locked_files_and_rare_compressions_are_refused() -> None:
    def link(entry: zipfile.ZipInfo) -> None:
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(BankError, match="a link, and no file"):
        unpack(zipped({"pack.yaml": "/etc/passwd"}, change=link))
    with pytest.raises(BankError, match="compressed in another way"):
        unpack(zipped({"pack.yaml": "x"}, zipfile.ZIP_LZMA))
    content = bytearray(zipped({"pack.yaml": "x"}))
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(BankError, match="is encrypted"):
        unpack(bytes(content))


def test_an_entry_twice_is_refused_and_not_one_of_both_taken() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = io.BytesIO()
        with zipfile.ZipFile(twice, "w") as written:
            written.writestr("pack.yaml", "one")
            written.writestr("pack.yaml", "two")
    with pytest.raises(BankError, match="the file is there twice"):
        unpack(twice.getvalue())


def test_a_file_that_lies_about_its_size_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(zipped({"pack.yaml": b"\0" * 64 * 2**20}))
    place = bomb.index(b"PK\1\2")
    assert struct.unpack_from("<I", bomb, place + 24) == (64 * 2**20,)
    with pytest.raises(BankError, match=r"holds more than .* 32 MiB"):
        unpack(bytes(bomb))
    struct.pack_into("<I", bomb, place + 24, 100)
    inflated: list[int] = []
    read = zipfile.ZipExtFile._read1  # type: ignore[attr-defined]
    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", lambda self, n: (inflated.append(n), read(self, n))[1])
    with pytest.raises(BankError, match="can't be read as a zip file: Bad CRC-32"):
        unpack(bytes(bomb))
    assert max(inflated) <= MAX_FILE_BYTES + 1


@given(st.binary(max_size=300))
def test_noise_is_a_fault_that_says_so(noise: bytes) -> None:
    with pytest.raises(BankError, match="can't be read as a zip file"):
        unpack(noise)


@given(st.data())
def test_a_damaged_archive_is_a_fault_or_what_it_was(data: st.DataObject) -> None:
    content = bytearray(pack_up("small", FILES))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack(bytes(content))
    except BankError:
        return
    assert set(found.values()) <= set(FILES.values())
