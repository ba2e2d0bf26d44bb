"""DICOM to NIfTI: every voxel where its header says, nothing of the patient, series that are not whole."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset

import core.io.dicom
from core.io.dicom import load_dicom
from core.io.volume import VolumeError, load_volume, save_volume
from tests.core.io import dicomfactory as dicom
from tests.core.io.dicomfactory import AXIAL, COLUMNS, ROWS, SLICES, Array

CORONAL = (np.array([1.0, 0, 0]), np.array([0, 0, -1.0]))
SAGITTAL = (np.array([0, 1.0, 0]), np.array([0, 0, -1.0]))


def assert_in_place(path: Path, directions: tuple[Array, Array], scale: float = 1.0) -> None:
    """Each value of the file lies within 0.1 mm of where the DICOM headers put it."""
    image = nib.Nifti1Image.from_filename(path)
    data = np.asarray(image.dataobj)
    assert sorted(data.shape) == sorted((ROWS, COLUMNS, SLICES))
    for (k, row, column), value in np.ndenumerate(dicom.voxels()):
        (index,) = np.argwhere(np.isclose(data, scale * value))
        world = nib.affines.apply_affine(image.affine, index)
        assert np.linalg.norm(world - dicom.place(k, row, column, directions)) < 0.1


@pytest.mark.parametrize(
    "order",
    [tuple(range(SLICES)), tuple(range(SLICES))[::-1], (0, 2, 4, 6, 1, 3, 5)],
    ids=["forward", "reversed", "interleaved"],
)
@pytest.mark.parametrize(
    "directions", [AXIAL, CORONAL, SAGITTAL, dicom.oblique()], ids=["axial", "coronal", "sagittal", "oblique"]
)
def test_every_voxel_lies_where_its_header_says(
    tmp_path: Path, directions: tuple[Array, Array], order: tuple[int, ...]
) -> None:
    folder = dicom.write(tmp_path / "in", dicom.series(directions, order))
    scan = load_dicom(folder)
    assert (scan.series, scan.slices, str(scan.skipped)) == (3, SLICES, "none")
    save_volume(scan.volume, tmp_path / "out.nii.gz")
    assert_in_place(tmp_path / "out.nii.gz", directions)


def test_a_marker_on_the_left_stays_on_the_left(tmp_path: Path) -> None:
    images = dicom.series()
    for one in images:
        pixels = np.zeros((ROWS, COLUMNS), np.uint16)
        # The last column of an axial slice lies furthest to the patient's left, the first row in front.
        pixels[0, COLUMNS - 1] = 1000
        one.PixelData = pixels.tobytes()
    volume = load_dicom(dicom.write(tmp_path / "in", images)).volume
    found = np.argwhere(volume.data == 1000)
    assert (found[:, 0] == 0).all()  # first voxel on the axis that runs to the right
    assert (found[:, 1] == ROWS - 1).all()  # last on the axis that runs to the front
    x = (volume.affine @ [*found[0], 1])[0]
    # LPS −31 mm and 8 columns of 0.8 mm to the left: RAS 31 − 6.4.
    assert x == pytest.approx(24.6, abs=1e-3)


def test_each_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    images = dicom.series()
    for one in images:
        one.RescaleSlope, one.RescaleIntercept = "0.5", "0"
    save_volume(load_dicom(dicom.write(tmp_path / "in", images)).volume, tmp_path / "out.nii.gz")
    assert_in_place(tmp_path / "out.nii.gz", AXIAL, scale=0.5)


def test_zip_and_folder_give_the_same(tmp_path: Path) -> None:
    files = {f"DOE/{i}": dicom.content(one) for i, one in enumerate(dicom.series(dicom.oblique()))}
    packed = load_dicom(dicom.zipped(tmp_path / "in.zip", files)).volume
    plain = load_dicom(dicom.write(tmp_path / "in", dicom.series(dicom.oblique()))).volume
    np.testing.assert_array_equal(packed.data, plain.data)
    np.testing.assert_array_equal(packed.affine, plain.affine)
    assert packed.stored == plain.stored


def test_one_multi_frame_file(tmp_path: Path) -> None:
    folder = dicom.write(tmp_path / "in", [dicom.multi_frame()])
    save_volume(load_dicom(folder).volume, tmp_path / "out.nii.gz")
    assert_in_place(tmp_path / "out.nii.gz", AXIAL)


def test_frames_out_of_order_are_refused_not_misplaced(tmp_path: Path) -> None:
    folder = dicom.write(tmp_path / "in", [dicom.multi_frame((0, 2, 1, 3, 4, 5, 6))])
    with pytest.raises(VolumeError, match="in: "):
        load_dicom(folder)


def test_nothing_of_the_patient_survives(tmp_path: Path) -> None:
    folder = dicom.write(tmp_path / "in", dicom.series())
    out = tmp_path / "out.nii.gz"
    save_volume(load_dicom(folder).volume, out)
    content = gzip.decompress(out.read_bytes())
    for word in ("Doe", "DOE", "Jane", "NHS4857773456", "20230401", "20230402", "Elsewhere", "ACC777", "Who"):
        assert word.encode() not in content
    header = nib.Nifti1Image.from_filename(out).header
    assert [bytes(header[key]).strip(b"\0") for key in ("descrip", "aux_file", "db_name", "intent_name")] == [
        b""
    ] * 4
    assert len(header.extensions) == 0
    assert load_volume(out).shape == (COLUMNS, ROWS, SLICES)


def test_what_is_no_image_is_counted(tmp_path: Path) -> None:
    images = dicom.series()
    folder = dicom.write(tmp_path / "in", [*images, dicom.report(), images[2]])
    (folder / "README.txt").write_text("x" * 500)
    (folder / "empty").touch()
    skipped = load_dicom(folder).skipped
    assert (skipped.not_dicom, skipped.not_image, skipped.copies) == (2, 1, 1)
    assert str(skipped) == "2 no DICOM, 1 DICOM without a placed image, 1 copies"


def test_several_series_are_listed_without_patient_texts(tmp_path: Path) -> None:
    folder = dicom.write(
        tmp_path / "in", [*dicom.series(number=12), *dicom.series(dicom.oblique(), number=4)]
    )
    listed = "series 4: 7 images of 9×12; series 12: 7 images of 9×12"
    with pytest.raises(VolumeError) as caught:
        load_dicom(folder)
    assert str(caught.value) == f"in: 2 series ({listed}); expected one, or its number chosen"
    with pytest.raises(VolumeError, match=f"in: no series 5; there are {listed}"):
        load_dicom(folder, series=5)
    scan = load_dicom(folder, series=4)
    assert scan.series == 4
    save_volume(scan.volume, tmp_path / "out.nii.gz")
    assert_in_place(tmp_path / "out.nii.gz", dicom.oblique())


def change(images: list[FileDataset], what: str) -> list[FileDataset]:
    """The series with one thing wrong."""
    one = images[3]
    match what:
        case "missing":
            del images[3]
        case "two missing":
            del images[3:5]
        case "uneven":
            one.ImagePositionPatient[2] = float(one.ImagePositionPatient[2]) + 0.3
        case "few":
            del images[3:]
        case "tilted":
            one.ImageOrientationPatient = [1, 0, 0, 0, 0.98, 0.199]
        case "spacing":
            one.PixelSpacing = [1.5, 0.9]
        case "size":
            one.Rows = ROWS - 1
        case "echoes":
            again = dicom.series(number=3)
            for number, other in enumerate(again):
                other.SOPInstanceUID = f"1.2.3.3.10{number}"
            images += again
        case "sheared":
            for k, other in enumerate(images):
                other.ImagePositionPatient[0] = float(other.ImagePositionPatient[0]) + k
        case "wavy":
            one.ImagePositionPatient[0] = float(one.ImagePositionPatient[0]) + 0.2
        case "colour":
            for other in images:
                other.PhotometricInterpretation = "MONOCHROME1"
        case "cut off":
            one.PixelData = one.PixelData[:-20]
        case "no voxels":
            del one.PixelData
        case "no spacing":
            del one.PixelSpacing
        case "huge":
            for other in images:
                other.Rows = 60000
        case "skewed":
            for other in images:
                other.ImageOrientationPatient = [1, 0, 0, 0.5, 0.5, 0]
        case "flat":
            for other in images:
                other.PixelData = bytes(len(other.PixelData))
        case "no length":
            for other in images:
                other.PixelSpacing = [0, 0.8]
    return images


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("missing", r"in: 4\.00 mm from slice 3 to 4 of 6 \(1 missing\?\); expected 2\.00 mm as between"),
        ("two missing", r"in: 6\.00 mm from slice 3 to 4 of 5 \(2 missing\?\)"),
        ("uneven", r"in: 2\.30 mm from slice 3 to 4 of 7; expected 2\.00 mm"),
        ("few", "in: 3 images; expected 4 or more slices"),
        ("tilted", "in: images of one series differ in ImageOrientationPatient"),
        ("spacing", "in: images of one series differ in PixelSpacing"),
        ("size", "in: images of one series differ in size"),
        ("echoes", r"in: several images at one place \(echoes, time points\?\)"),
        ("sheared", r"in: the converter refuses the series \(NON_CUBICAL_IMAGE/GANTRY_TILT\)"),
        ("wavy", r"in: an image lies 0\.20 mm beside the stack of the others; expected 0"),
        ("colour", "in: images that are not MONOCHROME2"),
        ("cut off", r"in: voxels that can't be read \(\w+\)"),
        ("no voxels", "in: an image without voxels"),
        ("no spacing", r"in: an image without a usable place \(KeyError\)"),
        ("huge", r"in: 9×60000×7 voxels; expected at most 512"),
        ("skewed", "in: ImageOrientationPatient of no right angle"),
        ("flat", "in: all voxels are 0; expected an image"),
        ("no length", r"in: PixelSpacing \[0\.0, 0\.8\] or a position is no length; expected mm"),
    ],
)
def test_series_that_are_not_whole(tmp_path: Path, what: str, text: str) -> None:
    folder = dicom.write(tmp_path / "in", change(dicom.series(), what))
    with pytest.raises(VolumeError, match=text) as caught:
        load_dicom(folder)
    for word in ("DOE", "Doe", "NHS"):
        assert word not in str(caught.value)


@pytest.mark.parametrize(
    ("data_step", "affine_step", "text"),
    [
        ((1, -1, 1), 0.0, "the converter put an image in another's place"),
        ((1, 1, -1), 0.0, "the converter put an image in another's place"),
        ((1, 1, 1), 0.3, r"an image lies 0\.30 mm off its place; expected 0\.1"),
    ],
)
def test_a_converter_that_errs_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data_step: tuple[int, int, int],
    affine_step: float,
    text: str,
) -> None:
    right = core.io.dicom._convert

    def wrong(name: str, data_sets: list[Dataset]) -> tuple[np.ndarray, np.ndarray]:
        data, affine = right(name, data_sets)
        affine[0, 3] += affine_step
        return data[tuple(slice(None, None, step) for step in data_step)], affine

    monkeypatch.setattr(core.io.dicom, "_convert", wrong)
    with pytest.raises(VolumeError, match=text):
        load_dicom(dicom.write(tmp_path / "in", dicom.series()))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_files_give_volume_errors(tmp_path: Path) -> None:
    """Cut and flipped bytes anywhere: an error of ours, or a volume; nothing else comes out."""
    rng = np.random.default_rng(11)
    good = [dicom.content(one) for one in dicom.series()]
    for trial in range(60):
        files = {str(i): bytearray(one) for i, one in enumerate(good)}
        victim = files[str(rng.integers(SLICES))]
        if trial % 3 == 0:
            del victim[int(rng.integers(132, len(victim))) :]
        else:
            for at in rng.integers(132, len(victim), 8):
                victim[int(at)] = int(rng.integers(256))
        path = dicom.zipped(tmp_path / "in.zip", {name: bytes(one) for name, one in files.items()})
        with contextlib.suppress(VolumeError):
            load_dicom(path)


def test_deflated_data_sets_are_refused(tmp_path: Path) -> None:
    one = dicom.content(dicom.series()[0]).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0"[:20])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(one + b"1.2.840.10008.1.2.1.99")
    with pytest.raises(VolumeError, match="in: a DICOM file in deflated transfer syntax"):
        load_dicom(tmp_path / "in")


def test_no_dicom_at_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Jane.txt").write_text("no")
    with pytest.raises(VolumeError) as caught:
        load_dicom(tmp_path / "in")
    assert str(caught.value) == "in: no DICOM image (skipped: 1 no DICOM); expected one series"
