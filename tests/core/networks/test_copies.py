"""A copy has its own name, hash and card; the model stays as it is; half a copy is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.io.volume import file_hash
from core.networks.copies import copy_model
from core.networks.zoo import ModelError, load_model
from tests.core.networks.test_zoo import write


def test_a_copy_is_another_model(tmp_path: Path) -> None:
    info = write(tmp_path / "vae_8x8_256")
    before = {path.name: file_hash(path) for path in info.folder.iterdir()}

    def change(folder: Path) -> None:
        (folder / "normative.npz").write_bytes(b"maps")

    made = copy_model(info, tmp_path / "vae_ours", change)
    assert (made.name, made.config.kind, made.hash != info.hash) == ("vae_ours", "vae", True)
    assert made.card.startswith("# vae_ours\n\nCopy of vae_8x8_256")
    assert (made.folder / "normative.npz").read_bytes() == b"maps"
    assert {path.name: file_hash(path) for path in info.folder.iterdir()} == before
    (made.folder / "normative.npz").unlink()
    load_model(made.folder, "cpu")  # its weights still fit
    raw = json.loads((made.folder / "config.json").read_text())
    assert raw["network"]["name"] == "vae_ours"


def test_a_change_that_fails_leaves_nothing(tmp_path: Path) -> None:
    info = write(tmp_path / "vae_8x8_256")

    def fail(folder: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        copy_model(info, tmp_path / "ours", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["vae_8x8_256"]


@pytest.mark.parametrize("name", ["vae_8x8_256", "vae_8x8n256", "our-site", "1st", ".hidden"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    info = write(tmp_path / "vae_8x8_256")
    (tmp_path / "there").mkdir()
    with pytest.raises(ModelError, match="no name for a copy of vae_8x8_256"):
        copy_model(info, tmp_path / "new" / name, lambda folder: None)
    with pytest.raises(ModelError, match="already there"):
        copy_model(info, tmp_path / "there", lambda folder: None)
