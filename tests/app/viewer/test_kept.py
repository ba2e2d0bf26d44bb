"""Volumes kept on disk: built once, built anew where damaged or of other sources, bounded."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from app.viewer import kept as module
from app.viewer.kept import kept


def test_built_once_for_the_same_sources(tmp_path: Path) -> None:
    built: list[str] = []

    def build(name: str) -> bytes:
        built.append(name)
        return name.encode()

    asked = [("z", ["a"]), ("z", ["a"]), ("z", ["b"]), ("mask", ["a"]), ("z", ["a", "b"])]
    answers = [
        kept(tmp_path, kind, sources, partial(build, str(i))) for i, (kind, sources) in enumerate(asked)
    ]
    assert answers == [b"0", b"0", b"2", b"3", b"4"]
    assert built == ["0", "2", "3", "4"]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_is_built_anew(tmp_path: Path, damage: bytes | None) -> None:
    kept(tmp_path, "z", ["a"], lambda: b"voxels")
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x" if damage is None else damage)
    assert kept(tmp_path, "z", ["a"], lambda: b"voxels again") == b"voxels again"
    assert kept(tmp_path, "z", ["a"], lambda: b"never asked") == b"voxels again"


def test_the_one_read_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2 * (32 + 10))
    for source in "ab":
        kept(tmp_path, "z", [source], lambda: bytes(10))
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    kept(tmp_path, "z", ["a"], lambda: b"never asked")  # read: now the younger
    kept(tmp_path, "z", ["c"], lambda: bytes(10))
    assert len(list(tmp_path.iterdir())) == 2
    assert kept(tmp_path, "z", ["a"], lambda: b"gone") == bytes(10)
    assert kept(tmp_path, "z", ["b"], lambda: b"gone") == b"gone"


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert kept(tmp_path / "file" / "below", "z", ["a"], lambda: b"voxels") == b"voxels"
