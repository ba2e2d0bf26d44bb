"""Tiny DICOM series whose every voxel's place is known from the header alone, full of patients' texts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

Array = NDArray[np.float64]
ROWS, COLUMNS, SLICES = 12, 9, 7
SPACING = (1.5, 0.8)  # mm between rows, between columns
STEP = 2.0  # mm between slices
ORIGIN = np.array([-31.0, 22.5, 47.0])  # LPS
AXIAL = (np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))  # columns run to the left, rows to the back
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "NHS4857773456",
    "PatientBirthDate": "20230401",
    "PatientSex": "F",
    "InstitutionName": "Saint Elsewhere",
    "ReferringPhysicianName": "Who^Doctor",
    "AccessionNumber": "ACC777",
    "StudyDescription": "Neonatal brain Doe",
    "SeriesDescription": "T2 Doe Jane",
    "StudyDate": "20230402",
    "Manufacturer": "SIEMENS Doe",
}


def oblique() -> tuple[Array, Array]:
    """Directions of a slice tilted by 20° about the first axis and 10° about the second."""
    a, b = np.radians(20), np.radians(10)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turned = about_y @ about_x
    return turned[:, 0], turned[:, 1]


def voxels() -> NDArray[np.uint16]:
    """(slice, row, column): every value once, so no mix-up goes unseen."""
    count = SLICES * ROWS * COLUMNS
    return np.random.default_rng(5).permutation(count).reshape(SLICES, ROWS, COLUMNS).astype(np.uint16)


def positions(directions: tuple[Array, Array] = AXIAL, step: float = STEP) -> list[Array]:
    """LPS mm of each slice's first voxel."""
    normal = np.cross(*directions)
    return [ORIGIN + index * step * normal for index in range(SLICES)]


def place(k: int, row: int, column: int, directions: tuple[Array, Array] = AXIAL) -> Array:
    """RAS mm of a voxel, from the DICOM standard (C.7.6.2.1.1) and nothing else."""
    along_row, along_column = directions
    lps = positions(directions)[k] + along_row * SPACING[1] * column + along_column * SPACING[0] * row
    return lps * [-1, -1, 1]


def image(
    data: NDArray[np.uint16],
    position: Array,
    number: int,
    directions: tuple[Array, Array] = AXIAL,
    series: int = 3,
    **more: object,
) -> FileDataset:
    """One slice as a data set."""
    one = _file(MRImageStorage, f"1.2.3.{series}.{number}")
    one.SeriesInstanceUID, one.SeriesNumber, one.InstanceNumber = UID(f"1.2.3.{series}"), series, number
    one.ImagePositionPatient = [f"{mm:.5f}" for mm in position]
    one.ImageOrientationPatient = [f"{mm:.6f}" for mm in np.concatenate(directions)]
    one.PixelSpacing, one.SliceThickness = list(SPACING), STEP
    _pixels(one, data)
    for keyword, value in more.items():
        setattr(one, keyword, value)
    return one


def series(
    directions: tuple[Array, Array] = AXIAL, order: Sequence[int] = tuple(range(SLICES)), number: int = 3
) -> list[FileDataset]:
    """The slices; ``order`` says which of them is acquired first, second and so on."""
    data, where = voxels(), positions(directions)
    return [image(data[k], where[k], n, directions, number) for n, k in enumerate(order, 1)]


def multi_frame(order: Sequence[int] = tuple(range(SLICES))) -> FileDataset:
    """The slices in one enhanced file."""
    one = _file(EnhancedMRImageStorage, "1.2.3.9.1")
    one.SeriesInstanceUID, one.SeriesNumber, one.InstanceNumber = UID("1.2.3.9"), 9, 1
    _pixels(one, voxels()[list(order)])
    one.NumberOfFrames = SLICES
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), STEP
    orientation.ImageOrientationPatient = [float(mm) for mm in np.concatenate(AXIAL)]
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    one.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for k in order:
        frame, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = [float(mm) for mm in positions()[k]]
        frame.PlanePositionSequence = Items([plane])
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence = Items(frames)
    return one


def report() -> FileDataset:
    """A DICOM file without an image."""
    return _file(UID("1.2.840.10008.5.1.4.1.1.88.11"), "1.2.3.4.99")


def write(folder: Path, images: Sequence[FileDataset]) -> Path:
    """A folder of files whose names hold the patient's."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(images):
        (folder / f"DOE_JANE_{index:03d}.dcm").write_bytes(content(one))
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def content(one: FileDataset) -> bytes:
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _file(kind: UID, uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = kind, UID(uid), "MR"
    for keyword, value in PATIENT.items():
        setattr(one, keyword, value)
    return one


def _pixels(one: Dataset, data: NDArray[np.uint16]) -> None:
    one.Rows, one.Columns = data.shape[-2:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = data.tobytes()
