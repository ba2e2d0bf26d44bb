"""Wire volumes: exact bands in int8, windows, RAS order, and errors that name the file."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from app.cases import address
from app.viewer import volumes
from app.viewer.volumes import (
    VolumeChanged,
    VolumeMissing,
    check_files,
    encode,
    in_brain,
    locate,
    read_grid,
    robust_window,
    to_int8,
    to_uint8,
    wire,
)
from core.io.derivatives import CasePaths
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS, SHAPE, phantom_affine, write_case

MODEL = "vae_8x8_512"


def load(data: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(data))


def test_every_band_edge_stays_exact_in_int8() -> None:
    # An edge belongs to the stronger band; the float next below it must stay below.
    for edge in (2.0, 3.0, 4.0):
        below = np.nextafter(np.float32(edge), np.float32(0))
        steps = to_int8(np.array([edge, below, -edge, -below], dtype=np.float32))
        assert steps.tolist() == [edge * 16, edge * 16 - 1, -edge * 16, -edge * 16 + 1]


def test_int8_clips_at_127_steps() -> None:
    assert to_int8(np.array([9.0, -9.0, 7.9375], dtype=np.float32)).tolist() == [127, -127, 127]


def test_uint8_maps_the_window() -> None:
    data = np.array([-5, 10, 20, 30, 99], dtype=np.float32)
    assert to_uint8(data, (10.0, 30.0)).tolist() == [0, 0, 128, 255, 255]


def test_window_of_the_mask_alone() -> None:
    data = np.concatenate([np.arange(1001, dtype=np.float32), np.full(5000, 1e6, dtype=np.float32)])
    assert robust_window(data, data < 1e6) == pytest.approx((5.0, 995.0))


def test_window_of_a_constant_image_is_not_empty() -> None:
    low, high = robust_window(np.full(8, 3.0, dtype=np.float32), np.ones(8, dtype=bool))
    assert low < high


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_base_and_z_arrive_in_ras(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    record = write_case(tmp_path, stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    z = load(wire(paths, MODEL, "z-volume").data)
    assert nib.aff2axcodes(z.affine) == ("R", "A", "S")
    assert z.get_data_dtype() == np.int8
    values = np.asarray(z.dataobj)
    assert values[BRIGHT_LEFT.slices].min() == values[BRIGHT_LEFT.slices].max() == 5.0
    assert values[DARK_RIGHT.slices].min() == values[DARK_RIGHT.slices].max() == -3.5
    np.testing.assert_allclose(z.affine, phantom_affine(), atol=1e-5)
    base = load(wire(paths, MODEL, "base").data)
    truth = read_grid(paths.acquired).data
    proxy: Any = base.dataobj
    low, high = proxy.inter, proxy.inter + 255 * proxy.slope
    np.testing.assert_allclose(np.asarray(base.dataobj), truth.clip(low, high), atol=(high - low) / 500)


def test_equal_input_gives_equal_bytes_and_hash() -> None:
    data = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    first, second = (encode(data, np.eye(4), 1.0, 0.0) for _ in range(2))
    assert first == second
    assert first.shape == (2, 3, 4)


def test_oblique_affine_is_kept(tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    turn[:3, 3] = (3, -4, 5)
    made = load(encode(np.zeros((4, 5, 6), np.int8), turn, 1.0, 0.0).data)
    np.testing.assert_allclose(made.affine, turn, atol=1e-6)
    np.testing.assert_allclose(made.get_qform(), turn, atol=1e-5)


def test_kept_in_memory_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    first = wire(paths, MODEL, "z-volume")
    assert wire(paths, MODEL, "z-volume") is first
    nothing = nib.Nifti1Image(np.zeros(SHAPE, np.float32), phantom_affine())
    nib.save(nothing, paths.z(MODEL, "volume"))
    assert wire(paths, MODEL, "z-volume").hash != first.hash


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    monkeypatch.setattr(volumes, "CACHE_BYTES", 1)
    first = wire(paths, MODEL, "z-volume")
    wire(paths, MODEL, "base")
    assert len(volumes._cache) == 1
    again = wire(paths, MODEL, "z-volume")
    assert again is not first
    assert again == first


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    paths.z(MODEL, "volume").unlink()
    with pytest.raises(VolumeMissing, match=r"desc-volumeZ_zmap\.nii\.gz: missing; analyse the scan again"):
        wire(paths, MODEL, "z-volume")
    paths.acquired.write_bytes(paths.acquired.read_bytes()[:200])
    with pytest.raises(VolumeMissing, match=r"desc-acquired_T2w\.nii\.gz: can't be read"):
        wire(paths, MODEL, "base")
    flat = nib.Nifti1Image(np.zeros((4, 5), np.float32), np.eye(4))
    nib.save(flat, paths.z(MODEL, "normative"))
    with pytest.raises(VolumeMissing, match="has 2 dimensions, expected 3"):
        wire(paths, MODEL, "z-normative")


def test_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)), paths.mask)
    with pytest.raises(VolumeMissing, match=r"grid \(3, 4, 5\), expected \(20, 26, 22\)"):
        wire(paths, MODEL, "base")


def test_nan_counts_as_nothing_flagged(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    data = np.full(SHAPE, np.nan, dtype=np.float32)
    data[0, 0, 0] = -np.inf
    nib.save(nib.Nifti1Image(data, np.eye(4)), paths.z(MODEL, "volume"))
    assert not np.asarray(load(wire(paths, MODEL, "z-volume").data).dataobj).any()


def test_locate_searches_the_disk_and_skips_broken_records(tmp_path: Path) -> None:
    write_case(tmp_path, "sub-a")
    wanted = write_case(tmp_path, "sub-b", blocks=())
    CasePaths(tmp_path, "sub-a", "ses-01").case_json(MODEL).write_text("{")
    assert locate(tmp_path, address(wanted)) == (CasePaths(tmp_path, "sub-b", "ses-01"), MODEL)
    assert locate(tmp_path, "0" * 64) is None


def test_equal_content_under_two_names_has_two_addresses(tmp_path: Path) -> None:
    first, second = write_case(tmp_path, "sub-a"), write_case(tmp_path, "sub-b")
    assert first.key == second.key
    for record in (second, first):
        paths = CasePaths(tmp_path, record.subject, "ses-01")
        assert locate(tmp_path, address(record)) == (paths, MODEL)


def test_files_are_held_against_the_record(tmp_path: Path) -> None:
    record = write_case(tmp_path)
    paths = CasePaths(tmp_path, record.subject, record.session)
    check_files(paths, record)
    paths.reconstruction(MODEL).unlink()
    check_files(paths, record)  # missing is not changed: `wire` says what it means
    old = paths.mask.read_bytes()
    paths.mask.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
    with pytest.raises(VolumeChanged, match=r"desc-brain_mask\.nii\.gz: changed since this analysis"):
        check_files(paths, record)
    paths.mask.write_bytes(old)
    check_files(paths, record)
    with pytest.raises(VolumeChanged, match=r"desc-acquired_T2w\.nii\.gz"):
        check_files(paths, replace(record, files={}))


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_a_point_is_in_the_brain_or_not_in_any_stored_orientation(
    tmp_path: Path, stored: tuple[str, str, str]
) -> None:
    record = write_case(tmp_path, stored=stored)
    paths = CasePaths(tmp_path, record.subject, record.session)
    # An ellipsoid of 0.92 of the half grid around 0: 2 mm × 9.5 × 0.92 = 17.5 mm to the left and right.
    assert in_brain(paths, (0.0, 0.0, 0.0))
    assert in_brain(paths, (-16.0, 1.0, 1.2))
    assert not in_brain(paths, (-18.5, 1.0, 1.2))
    assert not in_brain(paths, (500.0, 0.0, 0.0))
    assert not in_brain(paths, (-500.0, 0.0, 0.0))


def test_mask_arrives_as_zeros_and_ones(tmp_path: Path) -> None:
    record = write_case(tmp_path, stored=("L", "A", "S"))
    paths = CasePaths(tmp_path, record.subject, record.session)
    sent = np.asarray(load(wire(paths, MODEL, "mask").data).dataobj)
    assert sent.dtype == np.uint8
    np.testing.assert_array_equal(sent, read_grid(paths.mask).data)
