"""Prepared scans on disk: what is read back is what was asked for."""

from __future__ import annotations

import json
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
from core.prepared import (
    check_prepared,
    input_hashes,
    is_prepared,
    prepare_scan,
    prepared_key,
    sidecar_of,
    stored_key,
)
from core.preprocess.pipeline import (
    PrepareError,
    PrepareSettings,
    read_prepared,
    settings_from_dict,
    settings_to_dict,
)
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


def test_new_ways_to_find_a_mask_count_where_none_came_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = write_scan(tmp_path / "bids")
    bare = replace(scan, mask=None)

    def keys() -> list[str]:
        return [prepared_key(one, input_hashes(one), reference(), SETTINGS) for one in (scan, bare)]

    before = keys()
    monkeypatch.setattr("core.prepared.MASK_VERSION", 99)
    given, found = keys()
    assert given == before[0]
    assert found != before[1]


def other_contrast(folder: Path, scan: Scan, level: float = 900.0) -> Scan:
    """The scan with a T1w beside it: its contrast turned over."""
    volume = load_volume(scan.path)
    path = folder / "sub-one_ses-01_T1w.nii.gz"
    save_volume(volume.with_data(np.where(volume.data > 0, level - volume.data, 0)), path)
    return replace(scan, t1w=path)


@pytest.fixture
def _aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom is a ramp in an ellipsoid: nothing that alignment could hold on to."""
    monkeypatch.setattr("core.preprocess.channel.align", lambda *_: (np.eye(4), False))


@pytest.mark.usefixtures("_aligned")
def test_a_t1w_lies_beside_and_leaves_the_t2w_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = other_contrast(tmp_path, write_scan(tmp_path / "bids"))
    root, both = tmp_path / "out", replace(SETTINGS, bias="none", channels=("T2w", "T1w"))
    paths = CasePaths(root, "sub-one", "ses-01")
    alone = prepare_scan(scan, reference(), root, replace(SETTINGS, bias="none"))
    assert alone.x.shape == (CUBE,) * 3
    before = paths.prepared_json(CUBE).read_bytes()
    made = prepare_scan(scan, reference(), root, both)
    assert paths.prepared_json(CUBE).read_bytes() == before
    assert made.x.shape == (2, CUBE, CUBE, CUBE)
    assert np.array_equal(made.x[0], alone.cube.data)
    deep = ndimage.binary_erosion(made.cube_mask.data > 0, iterations=2)
    assert np.corrcoef(made.x[0][deep], made.x[1][deep])[0, 1] < -0.95
    assert paths.qc(CUBE, "T1w").read_bytes().startswith(b"\x89PNG")
    back = read_prepared(paths, CUBE, both.channels)
    assert np.array_equal(back.x, made.x)
    # Another T1w, or another file in its place, is prepared again; the same is not.
    keys = {stored_key(paths, CUBE, "T1w")}
    other = other_contrast(tmp_path, scan, level=1200.0)
    prepare_scan(other, reference(), root, both)
    keys.add(stored_key(paths, CUBE, "T1w"))
    assert len(keys) == 2
    assert paths.prepared_json(CUBE).read_bytes() == before
    monkeypatch.setattr("core.prepared.prepare_channel", lambda *_: pytest.fail("prepared twice"))
    prepare_scan(other, reference(), root, both)


@pytest.mark.usefixtures("_aligned")
def test_another_mask_makes_the_t1w_anew(tmp_path: Path) -> None:
    scan = other_contrast(tmp_path, write_scan(tmp_path / "bids"))
    root, both = tmp_path / "out", replace(SETTINGS, bias="none", channels=("T2w", "T1w"))
    paths = CasePaths(root, "sub-one", "ses-01")
    prepare_scan(scan, reference(), root, both)
    assert scan.mask is not None
    mask = load_mask(scan.mask, load_volume(scan.path))
    small = replace(scan, mask=tmp_path / "small.nii.gz")
    save_volume(
        mask.with_data(ndimage.binary_erosion(mask.data > 0, iterations=4)),
        tmp_path / "small.nii.gz",
        np.uint8,
    )
    prepare_scan(small, reference(), root, SETTINGS)
    assert not paths.prepared_json(CUBE, "T1w").exists()
    made = prepare_scan(small, reference(), root, both)
    outside = made.cube_mask.data == 0
    assert (made.x[1][outside] == 0).all()
    assert np.count_nonzero(made.x[1]) > 0.9 * np.count_nonzero(~outside)


def test_without_a_t1w_the_scan_is_refused_by_name(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    with pytest.raises(
        PrepareError, match=r"sub-one_ses-01: no T1w scan; expected one beside sub-one_ses-01_T2w\.nii\.gz"
    ):
        prepare_scan(scan, reference(), tmp_path / "out", replace(SETTINGS, channels=("T2w", "T1w")))
    assert not CasePaths(tmp_path / "out", "sub-one", "ses-01").prepared_json(CUBE).exists()


def test_keys_of_one_channel_are_those_of_before_there_were_more() -> None:
    assert "channels" not in settings_to_dict(SETTINGS)
    both = replace(SETTINGS, channels=("T2w", "T1w"))
    assert settings_from_dict(json.loads(json.dumps(settings_to_dict(both)))) == both
    assert settings_from_dict(settings_to_dict(SETTINGS)) == SETTINGS


def test_what_was_prepared_for_another_model_is_named(tmp_path: Path) -> None:
    """One place serves all models of a cube size: what lay there was read for any."""
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    check_prepared(paths, SETTINGS, "reference-hash", "vae")  # nothing there: the reader's to say
    scan, known = write_scan(tmp_path / "bids"), reference()
    prepare_scan(scan, known, tmp_path / "out", SETTINGS)
    for told in (known.hash, known.name, ""):
        check_prepared(paths, SETTINGS, told, "vae")
    name = "sub-one_ses-01_space-cube32_desc-prepared_T2w.json"
    with pytest.raises(
        PrepareError, match=rf"^{name}: prepared otherwise than for vae: bias n4 instead of n3;"
    ):
        check_prepared(paths, replace(SETTINGS, bias="n3"), known.hash, "vae")
    with pytest.raises(PrepareError, match="for vae: reference phantom instead of another;"):
        check_prepared(paths, SETTINGS, "another", "vae")
    low, high = (tuple(start + 0.05 * step for step in range(11)) for start in (0.1, 0.2))
    mapped = replace(SETTINGS, landmarks=(low, high))
    with pytest.raises(PrepareError, match=r"landmarks none instead of \[\[0\.1, .{30,40}…;"):
        check_prepared(paths, mapped, known.hash, "ours")
    prepare_scan(scan, known, tmp_path / "out", mapped)
    check_prepared(paths, mapped, known.hash, "ours")
    with pytest.raises(PrepareError, match=r"for vae: landmarks \[\[0\.1, .*… instead of none;"):
        check_prepared(paths, SETTINGS, known.hash, "vae")
