"""Volumes: orientation, round trips, and each refusal by its text."""

from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from core.io.volume import (
    Volume,
    VolumeError,
    file_hash,
    from_stored,
    load_labels,
    load_mask,
    load_volume,
    same_grid,
    save_volume,
)

SHAPE = (16, 24, 32)
AFFINE = np.array([[0.8, 0, 0, -6], [0, 1.0, 0, -12], [0, 0, 1.5, -20], [0, 0, 0, 1]], dtype=float)


def noise(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).normal(100, 10, shape).astype(np.float32)


def write(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def world_value(volume: Volume, mm: tuple[float, float, float]) -> float:
    """Value of the voxel whose centre lies at ``mm``."""
    index = np.linalg.solve(volume.affine, [*mm, 1.0])[:3]
    assert np.allclose(index, np.rint(index), atol=1e-4)
    i, j, k = np.rint(index).astype(int)
    return float(volume.data[i, j, k])


def test_derived_numbers() -> None:
    volume = Volume(noise(), AFFINE)
    assert np.allclose(volume.spacing, [0.8, 1.0, 1.5])
    assert volume.voxel_volume == pytest.approx(1.2)
    assert volume.shape == SHAPE
    assert volume.data.dtype == np.float32


def test_flip_moves_origin() -> None:
    # Stored LAS: index 0 lies at +5 mm right, 15 steps of 1 mm to the left end at -10.
    affine = np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float)
    data = noise()
    volume = from_stored(data, affine)
    assert volume.stored == ("L", "A", "S")
    assert volume.affine[:3, 3].tolist() == [-10, 0, 0]
    assert volume.data[0, 3, 4] == data[15, 3, 4]
    assert np.array_equal(volume.stored_affine, affine)
    assert np.array_equal(volume.stored_data, data)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR", "SLA", "AIL"])
def test_stored_orders_agree_in_world_and_round_trip(tmp_path: Path, codes: str) -> None:
    ras = Volume(noise(), AFFINE)
    ras.data[3, 5, 7] = 900.0  # at 0.8 * 3 - 6, 5 - 12, 1.5 * 7 - 20
    turned = Volume(ras.data, ras.affine, (codes[0], codes[1], codes[2]))
    path = tmp_path / "scan.nii.gz"
    save_volume(turned, path)
    image = nib.Nifti1Image.from_filename(path)
    assert "".join(nib.aff2axcodes(image.affine)) == codes
    assert np.allclose(image.get_qform(), image.get_sform(), atol=1e-5)
    back = load_volume(path)
    assert back.stored == tuple(codes)
    assert back.shape == SHAPE
    assert np.array_equal(back.data, ras.data)
    assert world_value(back, (-3.6, -7.0, -9.5)) == 900.0


def test_oblique_rotation_is_kept(tmp_path: Path) -> None:
    angle = np.deg2rad(20)
    oblique = AFFINE.copy()
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    oblique[:3, :3] = turn @ AFFINE[:3, :3]
    flipped = oblique @ np.array([[0, -1, 0, 15], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    data = noise()
    path = write(tmp_path / "oblique.nii", np.ascontiguousarray(data[::-1].transpose(1, 0, 2)), flipped)
    volume = load_volume(path)
    assert np.allclose(volume.affine, oblique, atol=1e-5)
    assert np.array_equal(volume.data, data)


def test_mgz_mha_nrrd_give_the_same_world(tmp_path: Path) -> None:
    from core.io.itk import ants, to_ants

    volume = Volume(noise(), AFFINE)
    nib.save(nib.MGHImage(volume.data, AFFINE.astype(np.float32)), tmp_path / "a.mgz")
    image = to_ants(volume.data, volume.affine)
    for name in ("a.mha", "a.nrrd"):
        ants.image_write(image, str(tmp_path / name))
    for name in ("a.mgz", "a.mha", "a.nrrd"):
        back = load_volume(tmp_path / name)
        assert np.allclose(back.affine, AFFINE, atol=1e-4), name
        assert np.allclose(back.data, volume.data), name


def test_single_frame_and_scaled_integers_are_read(tmp_path: Path) -> None:
    data = noise()
    assert np.array_equal(load_volume(write(tmp_path / "a.nii", data[..., None])).data, data)
    image = nib.Nifti1Image(np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE), AFFINE)
    image.header.set_slope_inter(0.5, 3)
    raw = bytearray(image.to_bytes())
    raw[112:120] = struct.pack("<ff", 0.5, 3)
    (tmp_path / "b.nii").write_bytes(raw)
    assert load_volume(tmp_path / "b.nii").data[0, 0, 4] == 5.0  # 4 * 0.5 + 3


def test_saving_is_repeatable_and_leaves_nothing_behind(tmp_path: Path) -> None:
    volume = Volume(noise(), AFFINE)
    save_volume(volume, tmp_path / "one" / "a.nii.gz")
    save_volume(volume, tmp_path / "two" / "b.nii.gz")
    assert (tmp_path / "one" / "a.nii.gz").read_bytes() == (tmp_path / "two" / "b.nii.gz").read_bytes()
    old = file_hash(tmp_path / "one" / "a.nii.gz")
    assert old == hashlib.sha256((tmp_path / "one" / "a.nii.gz").read_bytes()).hexdigest()
    with pytest.raises(VolumeError, match=r"a\.nii\.gz: values that int8 can't hold"):
        save_volume(volume.with_data(volume.data * 10), tmp_path / "one" / "a.nii.gz", np.int8)
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["a.nii.gz"]
    assert file_hash(tmp_path / "one" / "a.nii.gz") == old


def test_failed_rename_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(noise(), AFFINE)
    save_volume(volume, tmp_path / "a.nii")
    old = file_hash(tmp_path / "a.nii")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("core.io.atomic.os.replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_volume(volume.with_data(volume.data + 1), tmp_path / "a.nii")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]
    assert file_hash(tmp_path / "a.nii") == old


def test_integer_dtype_is_stored(tmp_path: Path) -> None:
    mask = Volume((noise() > 100).astype(np.float32), AFFINE)
    save_volume(mask, tmp_path / "m.nii.gz", np.uint8)
    image = nib.Nifti1Image.from_filename(tmp_path / "m.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert np.array_equal(image.get_fdata(), mask.data)
    with pytest.raises(VolumeError, match=r"m\.mgz: can't write this format; expected \.nii or \.nii\.gz"):
        save_volume(mask, tmp_path / "m.mgz")


def _huge() -> np.ndarray:
    data = np.zeros((513, 4, 4), dtype=np.uint8)
    data[0] = 1
    return data


def _nan() -> np.ndarray:
    data = noise()
    data[1, 2, 3] = np.nan
    data[4, 5, 6] = np.inf
    return data


BAD_DATA = [
    (noise((16, 24)), AFFINE, r"16×24 voxels, which is not 3D; expected one 3D image"),
    (noise((16, 24, 1)), AFFINE, r"is not 3D"),
    (noise((8, 8, 8, 3)), AFFINE, r"4D with 3 frames; expected one 3D image"),
    (_nan(), AFFINE, r"2 voxels are NaN or infinite; expected finite numbers"),
    (np.full(SHAPE, 1e39), AFFINE, r"12288 voxels are NaN or infinite"),
    (np.full(SHAPE, 3.0, np.float32), AFFINE, r"all voxels are 3; expected an image"),
    (_huge(), AFFINE, r"513×4×4 voxels; expected at most 512 on an axis"),
    (noise(), np.diag([0.05, 1, 1, 1.0]), r"spacing 0\.05×1×1 mm; expected 0\.1 to 10 mm"),
    (noise(), np.diag([1, 1, 11.0, 1]), r"spacing 1×1×11 mm; expected 0\.1 to 10 mm"),
    (noise().astype(np.complex64), AFFINE, r"type complex64 \(colour or complex\); expected real numbers"),
    (np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE, r"colour or complex"),
]


@pytest.mark.parametrize(("data", "affine", "text"), BAD_DATA)
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_unusable_images(
    tmp_path: Path, data: np.ndarray, affine: np.ndarray, text: str, extension: str
) -> None:
    path = write(tmp_path / f"bad{extension}", data, affine)
    with pytest.raises(VolumeError, match=r"^bad\.nii(\.gz)?: .*" + f"({text})"):
        load_volume(path)


def _patched(offset: int, content: bytes) -> bytes:
    raw = bytearray(nib.Nifti1Image(noise(), AFFINE).to_bytes())
    raw[offset : offset + len(content)] = content
    return bytes(raw)


GOOD = nib.Nifti1Image(noise(), AFFINE).to_bytes()
SINGULAR = struct.pack("<12f", 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0)  # third column = first
BAD_BYTES = [
    ("a.txt", b"hello", r"unknown extension \.txt; expected one of \.nii, \.nii\.gz, \.mgz, \.mha, \.nrrd"),
    ("scan", b"hello", r"unknown extension \(none\)"),
    ("a.nii", b"", r"empty file; expected a scan"),
    ("a.nii", b"hello " * 200, r"not an image, no NIfTI header; expected \.nii"),
    ("a.nii.gz", b"hello " * 200, r"not a compressed .* \(Not a gzipped file\); expected \.nii\.gz"),
    ("a.nii.gz", gzip.compress(b"hello " * 200), r"not an image, no NIfTI header"),
    ("a.nii.gz", gzip.compress(GOOD)[:-2000], r"gzip stream is cut off \(truncated\); expected a whole file"),
    ("a.nii", GOOD[:-100], r"holds 49404 bytes; expected the 49504 that its header promises"),
    (
        "a.nii.gz",
        gzip.compress(GOOD[:-100]),
        r"holds 49404 bytes; expected the 49504 that its header promises",
    ),
    ("a.nii", _patched(280, SINGULAR), r"singular affine .*; expected three independent axes"),
    ("a.nii", _patched(280, struct.pack("<f", np.nan)), r"singular affine"),
    ("a.nii", _patched(252, struct.pack("<hh", 0, 0)), r"orientation is not set .*left from right"),
    ("a.nii", _patched(70, struct.pack("<h", 9999)), r"not an image, unusable header"),
    ("a.nii", _patched(108, struct.pack("<f", 1e9)), r"voxels at byte 1e\+09; expected 348 to"),
    ("a.nii", _patched(123, b"\x07"), r"unit of length has code 7; expected metre, mm or micrometre"),
    ("a.nii", _patched(123, b"\x01"), r"spacing 800×1e\+03×1\.5e\+03 mm; expected 0\.1 to 10 mm"),
    ("a.mgz", b"", r"empty file"),
    ("a.mgz", gzip.compress(b"hello " * 200), r"not an image, no MGH header"),
    ("a.mha", b"hello " * 200, r"not an image, no header; expected \.mha"),
    ("a.nrrd", b"hello " * 200, r"not an image, no header; expected \.nrrd"),
    (
        "a.mha",
        b"NDims = 3\nElementDataFile = ../b.raw\n",
        r"voxels lie in another file; expected them in this one",
    ),
    ("a.nrrd", b"NRRD0004\ndimension: 3\ndata file: b.raw\n\n", r"voxels lie in another file"),
    ("a.mha", b"ObjectType = Image\nNDims = x\nElementDataFile = LOCAL\n", r"not an image"),
]


@pytest.mark.parametrize(("name", "content", "text"), BAD_BYTES)
def test_unusable_files(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=text) as caught:
        load_volume(path)
    assert str(caught.value).startswith(name + ":")


def _two_forms(sform: np.ndarray, qform: np.ndarray, codes: tuple[int, int]) -> bytes:
    image = nib.Nifti1Image(noise(), sform)
    image.set_sform(sform, code=codes[0])
    image.set_qform(qform, code=codes[1])
    return bytes(image.to_bytes())


def test_sform_and_qform_that_disagree_on_sides(tmp_path: Path) -> None:
    mirrored = np.diag([-1.0, 1, 1, 1]) @ AFFINE
    path = tmp_path / "a.nii"
    path.write_bytes(_two_forms(AFFINE, mirrored, (1, 1)))
    with pytest.raises(VolumeError, match=r"^a\.nii: sform says the axes run to RAS, qform to LAS; expected"):
        load_volume(path)
    for codes, stored in (((1, 0), "RAS"), ((0, 1), "LAS")):
        path.write_bytes(_two_forms(AFFINE, mirrored, codes))
        assert "".join(load_volume(path).stored) == stored
    for degrees, stored in ((44.9, "RPS"), (45.1, "ARS")):  # the name changes, no side does
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        oblique = [np.diag([1.0, 1, 1, 1]) for _ in range(2)]
        oblique[0][:2, :2] = [[c, s], [s, -c]]
        oblique[1][:2, :2] = [[1, 1], [1, -1]] / np.sqrt(2)
        path.write_bytes(_two_forms(oblique[0], oblique[1], (1, 1)))
        assert "".join(load_volume(path).stored) == stored
    turned = AFFINE.copy()
    turned[:2, :2] = AFFINE[:2, :2] @ [[0.98, -0.2], [0.2, 0.98]]
    path.write_bytes(_two_forms(AFFINE, turned, (2, 1)))  # a registered copy keeps the scanner's qform
    assert np.allclose(load_volume(path).affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(("unit", "scale"), [("unknown", 1), ("mm", 1), ("meter", 0.001), ("micron", 1000)])
def test_units_of_length_become_mm(tmp_path: Path, unit: str, scale: float) -> None:
    image = nib.Nifti1Image(noise(), np.diag([scale, scale, scale, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii")
    volume = load_volume(tmp_path / "a.nii")
    assert np.allclose(volume.affine, AFFINE, rtol=1e-5)
    assert volume.voxel_volume == pytest.approx(1.2)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"gone\.nii: no such file; expected a scan"):
        load_volume(tmp_path / "gone.nii")


def test_cut_off_mgz_mha_nrrd(tmp_path: Path) -> None:
    from core.io.itk import ants, to_ants

    nib.save(nib.MGHImage(noise(), AFFINE.astype(np.float32)), tmp_path / "a.mgz")
    raw = gzip.decompress((tmp_path / "a.mgz").read_bytes())
    (tmp_path / "a.mgz").write_bytes(gzip.compress(raw[:20000]))
    with pytest.raises(VolumeError, match=r"a\.mgz: holds 20000 bytes; expected the 49436 that"):
        load_volume(tmp_path / "a.mgz")
    for name in ("a.mha", "a.nrrd"):
        ants.image_write(to_ants(noise(), AFFINE), str(tmp_path / name))
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(VolumeError, match=name + r": voxels can't be read, cut off or damaged"):
            load_volume(tmp_path / name)


def test_gzip_bomb_is_refused_from_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_sform(np.eye(4), code=1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(header.binaryblock + b"\0" * 4 + b"\0" * 50_000_000)
    asked: list[int] = []
    read = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        assert size is not None
        asked.append(size)
        return read(self, size)

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(VolumeError, match="30000×30000×30000 voxels; expected at most 512"):
        load_volume(path)
    assert 0 < sum(asked) <= 1024


def test_gzip_bomb_behind_an_honest_header(tmp_path: Path) -> None:
    path = tmp_path / "long.nii.gz"
    path.write_bytes(gzip.compress(GOOD + b"\0" * 5_000_000))
    with pytest.raises(VolumeError, match=r"goes on past its voxels; expected the 49504 bytes"):
        load_volume(path)


def test_mask_of_other_axis_order_is_brought_to_the_scan(tmp_path: Path) -> None:
    scan = Volume(noise(), AFFINE, ("L", "P", "S"))
    inside = np.zeros(SHAPE, np.float32)
    inside[2:9, 3:11, 4:13] = 255
    save_volume(Volume(inside, AFFINE, ("S", "R", "A")), tmp_path / "m.nii.gz")
    mask = load_mask(tmp_path / "m.nii.gz", scan)
    assert mask.stored == scan.stored
    assert np.array_equal(mask.data, inside / 255)
    assert mask.data.sum() == 7 * 8 * 9


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    scan = Volume(noise(), AFFINE)
    box = np.zeros(SHAPE, np.float32)
    box[4:8, 4:8, 4:8] = 1
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.5
    cases = [
        (box[:-1], AFFINE, r"mask on a grid of 15×24×32 voxels .* expected a grid of 16×24×32 voxels"),
        (
            box,
            shifted,
            r"from \(-5\.5, -12\.0, -20\.0\) mm; expected a grid .* from \(-6\.0, -12\.0, -20\.0\) mm",
        ),
        (box * 0, AFFINE, r"empty mask; expected"),
        (box * 0 + 1, AFFINE, r"mask fills the whole grid; expected 0 outside"),
        (noise(), AFFINE, r"distinct values .*expected a mask of 0 and one positive value"),
        (0 - box, AFFINE, r"2 distinct values from -1 to 0"),
    ]
    for data, affine, text in cases:
        write(tmp_path / "m.nii.gz", data, affine)
        with pytest.raises(VolumeError, match=r"^m\.nii\.gz: " + ".*" + text):
            load_mask(tmp_path / "m.nii.gz", scan)


def test_labels_may_all_be_zero_and_nothing_else_alike(tmp_path: Path) -> None:
    empty = load_labels(write(tmp_path / "none.nii.gz", np.zeros(SHAPE, np.uint8)))
    assert (empty.shape, empty.data.max()) == (SHAPE, 0)
    write(tmp_path / "all.nii.gz", np.full(SHAPE, 2, np.uint8))
    with pytest.raises(VolumeError, match=r"all\.nii\.gz: all voxels are 2; expected labels"):
        load_labels(tmp_path / "all.nii.gz")
    with pytest.raises(VolumeError, match=r"none\.nii\.gz: all voxels are 0; expected an image"):
        load_volume(tmp_path / "none.nii.gz")


def test_same_grid_tolerance() -> None:
    a = Volume(noise(), AFFINE)
    near, far = AFFINE.copy(), AFFINE.copy()
    near[0, 3] += 0.07  # a tenth of 0.8 mm is 0.08
    far[0, 3] += 0.09
    assert same_grid(a, Volume(noise(), near))
    assert not same_grid(a, Volume(noise(), far))


def test_volume_refuses_wrong_geometry() -> None:
    with pytest.raises(VolumeError, match=r"data of shape \(16, 24\); expected three axes"):
        Volume(noise((16, 24)), AFFINE)
    with pytest.raises(VolumeError, match="axes nearest to R, A, S"):
        Volume(noise(), np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(VolumeError, match=r"data of shape \(24, 16, 32\); expected \(16, 24, 32\)"):
        Volume(noise(), AFFINE).with_data(noise((24, 16, 32)))


def test_a_small_file_that_unpacks_to_a_huge_even_block_takes_little_memory(tmp_path: Path) -> None:
    """512³ zeros of four bytes: 0.5 MB as gzip, 512 MiB unpacked."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((512, 512, 512))
    header.set_sform(np.diag([0.5, 0.5, 0.5, 1.0]), code=1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / "even.nii.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + b"\0" * 4)
        for _ in range(32):
            stream.write(bytes(16 << 20))
    assert path.stat().st_size < 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(VolumeError, match=r"even\.nii\.gz: all voxels are 0; expected an image"):
            load_volume(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 128 << 20


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offset", [352, 368, 4096])
def test_voxels_read_in_parts_are_nibabels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, offset: int
) -> None:
    monkeypatch.setattr("core.io.nifti._CHUNK", 5 * 16 * 24 * 2 + 7)  # five slices, of 32
    data = np.rint(noise()).astype(np.int16)
    data[:, :, :11] = 90  # even at first: the second value turns up in the third part
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(f"{order}i2"))
    image = nib.Nifti1Image(data, AFFINE, header)
    image.header.set_slope_inter(0.3, -7.25)
    image.header["vox_offset"] = offset
    path = tmp_path / "scan.nii"
    path.write_bytes(image.header.binaryblock + bytes(offset - 348))
    raw = data.astype(np.dtype(f"{order}i2"))
    path.write_bytes(path.read_bytes() + raw.tobytes(order="F"))
    expected = np.asarray(nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32))
    assert np.ptp(expected[:, :, :11]) == 0
    assert np.ptp(expected) > 1
    assert np.array_equal(load_volume(path).data, expected)
