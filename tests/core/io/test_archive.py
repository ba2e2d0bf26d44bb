"""Folders and zips as readers: bombs, names that lead out, and broken archives are refused."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from core.io import archive
from core.io.archive import opened
from core.io.checks import VolumeError


def packed(path: Path, names: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in names.items():
            made.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def test_files_in_order_of_their_names(tmp_path: Path) -> None:
    names = {"b/2": b"two", "a/1": b"one and more", "b/10": b"ten"}
    for name, data in names.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    expected = [b"one and more", b"ten", b"two"]
    for source in (tmp_path / "in", packed(tmp_path / "in.zip", names)):
        with opened(source) as readers:
            assert [read(-1) for read in readers] == expected
            assert readers[0](3) == b"one"
            assert readers[0](-1) == b"one and more"  # from the start again


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "..\\out", "\\\\host\\out", "C:\\out"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "x.zip", {"fine": b"1", name: b"2"})
    with (
        pytest.raises(VolumeError, match=r"x\.zip: a file in the zip has an absolute path or '\.\.'"),
        opened(path),
    ):
        pass
    assert [one.name for one in tmp_path.rglob("*")] == ["x.zip"]


def test_links_and_methods_that_hide_their_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
    with pytest.raises(VolumeError, match="a file in the zip is a link"), opened(tmp_path / "x.zip"):
        pass
    path = packed(tmp_path / "y.zip", {"a": b"0" * 1000}, zipfile.ZIP_LZMA)
    with pytest.raises(VolumeError, match="zip method 14; expected stored or deflated"), opened(path):
        pass


def test_bombs_are_seen_in_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 10**6)
    path = packed(tmp_path / "x.zip", {"a": bytes(600_000), "b": bytes(600_000)})
    assert path.stat().st_size < 3000
    with pytest.raises(VolumeError, match=r"x\.zip: 0\.0 GB unpacked; expected at most"), opened(path):
        pass
    monkeypatch.setattr(archive, "MAX_FILES", 1)
    with pytest.raises(VolumeError, match=r"x\.zip: 2 files; expected at most 1"), opened(path):
        pass


def test_a_directory_that_lies_unpacks_no_more_than_it_says(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a": bytes(600_000)})
    content = path.read_bytes()
    assert content.count(struct.pack("<L", 600_000)) >= 1
    path.write_bytes(content.replace(struct.pack("<L", 600_000), struct.pack("<L", 100)))
    with opened(path) as readers, pytest.raises(VolumeError, match=r"x\.zip: a file in the zip is broken"):
        readers[0](-1)


def test_encrypted(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=r"x\.zip: encrypted zip"), opened(path):
        pass


def test_no_zip_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(VolumeError, match=r"x\.zip: no zip file"), opened(tmp_path / "x.zip"):
        pass
    with pytest.raises(VolumeError, match=r"y\.zip: no such file or folder"), opened(tmp_path / "y.zip"):
        pass
