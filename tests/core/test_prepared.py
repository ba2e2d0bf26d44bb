"""Prepared scans on disk: what is read back is what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from core.config import settings
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import file_hash, load_mask, load_volume, save_volume
from core.prepared import input_hashes, is_prepared, prepare_scan, prepared_key, sidecar_of
from core.preprocess.pipeline import PrepareSettings
from tests.core.case_fakes import CUBE, fake_prepare, reference, write_scan

SETTINGS = PrepareSettings(cube=CUBE)


@pytest.fixture(autouse=True)
def _preparation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    yield
    settings.cache_clear()


def voxels(scan: Scan) -> float:
    assert scan.mask is not None
    return float(load_mask(scan.mask, load_volume(scan.path)).data.sum())


def test_each_mask_brings_its_own_preparation(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    assert scan.mask is not None
    mask = load_mask(scan.mask, load_volume(scan.path))
    small = replace(scan, mask=tmp_path / "small.nii.gz")
    save_volume(
        mask.with_data(ndimage.binary_erosion(mask.data > 0, iterations=4)),
        tmp_path / "small.nii.gz",
        np.uint8,
    )
    assert voxels(small) < voxels(scan)
    prepare_scan(scan, reference(), tmp_path / "out", SETTINGS)
    prepare_scan(small, reference(), tmp_path / "out", replace(SETTINGS, cube=16))
    again = prepare_scan(scan, reference(), tmp_path / "out", SETTINGS)
    assert again.mask.data.sum() == voxels(scan)


def test_sidecar_holds_the_hash_of_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = write_scan(tmp_path / "bids")
    prepare_scan(scan, reference(), tmp_path / "out", SETTINGS)
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    files = [paths.acquired, paths.mask, paths.prepared(CUBE), paths.prepared_mask(CUBE), paths.qc(CUBE)]
    assert sidecar_of(paths, CUBE)["files"] == {path.name: file_hash(path) for path in files}
    key = prepared_key(scan, input_hashes(scan), reference(), SETTINGS)
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"x")  # gzip and PNG readers would not mind
        assert not is_prepared(paths, CUBE, key), path.name
        path.write_bytes(content)
    assert is_prepared(paths, CUBE, key)
    monkeypatch.setattr("core.prepared.prepare", lambda *_: pytest.fail("prepared twice"))
    prepare_scan(scan, reference(), tmp_path / "out", SETTINGS)


@pytest.mark.parametrize(
    ("mask", "given", "moves"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("given", True, False),
        ("bet", False, False),
        ("stripped", False, False),
        ("command", True, True),
    ],
)
def test_the_brain_extractor_counts_where_it_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: str, given: bool, moves: bool
) -> None:
    scan = write_scan(tmp_path / "bids")
    scan = scan if given else replace(scan, mask=None)
    keys = set()
    for command in ("", "strip -i {image} -m {mask}"):
        monkeypatch.setenv("FONTANELLE_BRAIN_EXTRACTOR", command)
        settings.cache_clear()
        keys.add(prepared_key(scan, input_hashes(scan), reference(), replace(SETTINGS, mask=mask)))
    assert (len(keys) == 2) == moves
