"""The DICOM series in a folder or zip, told from their headers: images in space, in order, and what is wrong.

Only the tags in ``TAGS`` are ever read, so nothing that names a patient gets further than the file; errors
hold no file name from inside a folder or zip, for the same reason.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from core.io.archive import Reader
from core.io.checks import VolumeError, check_grid

Floats = NDArray[np.float64]
TAGS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Modality"]
TAGS += ["ImageType", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"]
TAGS += ["SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"]
TAGS += ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"]
TAGS += ["RescaleSlope", "RescaleIntercept", "PixelData"]
TAGS += ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]

MAGIC_AT, MAGIC = 128, b"DICM"
DEFLATED = b"1.2.840.10008.1.2.1.99"  # a data set packed as one stream, which unpacks to any size
LEAST_SLICES = 4  # fewer are scouts
TOLERANCE_MM = 0.1  # of a voxel's place
UNIT_TOLERANCE = 1e-3
# What pydicom raises on broken files. Its texts quote values, so only the kind of error is passed on.
BROKEN: tuple[type[Exception], ...] = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    NotImplementedError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: where it lies in DICOM's patient space (LPS+, mm)."""

    file: int
    index: int  # within the file
    position: Floats  # (3,) centre of the first voxel
    along_row: Floats  # (3,) unit vector, to the next column
    along_column: Floats  # (3,) unit vector, to the next row
    spacing: Floats  # (2,) mm between rows, between columns
    shape: tuple[int, int]  # rows, columns


@dataclass(frozen=True)
class Series:
    """The images of one SeriesInstanceUID."""

    number: int | None
    frames: list[Frame] = field(default_factory=list)

    def __str__(self) -> str:
        rows, columns = self.frames[0].shape
        number = "without number" if self.number is None else str(self.number)
        return f"series {number}: {len(self.frames)} images of {columns}×{rows}"


@dataclass(frozen=True)
class Skipped:
    """Files that are not part of the volume."""

    not_dicom: int = 0
    not_image: int = 0  # reports, presentation states, screenshots: no voxels with a place
    copies: int = 0  # the same image again

    def __str__(self) -> str:
        told = (
            (self.not_dicom, "no DICOM"),
            (self.not_image, "DICOM without a placed image"),
            (self.copies, "copies"),
        )
        return ", ".join(f"{count} {what}" for count, what in told if count) or "none"


def survey(name: str, readers: Sequence[Reader]) -> tuple[list[Series], Skipped]:
    """All series by number, from headers alone."""
    found: dict[str, Series] = {}
    seen: set[str] = set()
    not_dicom = not_image = copies = 0
    for file, read in enumerate(readers):
        if read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] != MAGIC:
            not_dicom += 1
            continue
        header = parse(name, read(-1), voxels=False)
        if not _is_image(header):
            not_image += 1
            continue
        uid = str(header.get("SOPInstanceUID", file))
        if uid in seen:
            copies += 1
            continue
        seen.add(uid)
        try:
            number = None if header.get("SeriesNumber") is None else int(header.SeriesNumber)
            one = found.setdefault(str(header.get("SeriesInstanceUID", "")), Series(number))
            one.frames.extend(_frames(header, file))
        except BROKEN as error:
            raise VolumeError(
                f"{name}: an image without a usable place ({type(error).__name__}); expected "
                "ImagePositionPatient, ImageOrientationPatient and PixelSpacing"
            ) from error
    ordered = sorted(found.values(), key=lambda one: (one.number is None, one.number or 0))
    return ordered, Skipped(not_dicom, not_image, copies)


def choose(name: str, found: Sequence[Series], skipped: Skipped, number: int | None) -> Series:
    """The only series, or that with ``number``.

    Raises
    ------
    VolumeError
        Where there is none, or more than one.
    """
    listed = "; ".join(map(str, found))
    if not found:
        raise VolumeError(f"{name}: no DICOM image (skipped: {skipped}); expected one series")
    fitting = [one for one in found if number is None or one.number == number]
    if not fitting:
        raise VolumeError(f"{name}: no series {number}; there are {listed}")
    if len(fitting) > 1:
        what = "series" if number is None else f"series with number {number}"
        raise VolumeError(f"{name}: {len(fitting)} {what} ({listed}); expected one, or its number chosen")
    return fitting[0]


def in_order(name: str, frames: Sequence[Frame]) -> list[Frame]:
    """Images from one end of the volume to the other, evenly spaced.

    Raises
    ------
    VolumeError
        Where they are too few, differ in size, spacing or direction, lie in one place, or leave a gap.
    """
    first = frames[0]
    for what, alike in (
        ("size", all(frame.shape == first.shape for frame in frames)),
        ("PixelSpacing", all(np.allclose(frame.spacing, first.spacing, atol=1e-3) for frame in frames)),
        ("ImageOrientationPatient", all(_parallel(frame, first) for frame in frames)),
    ):
        if not alike:
            raise VolumeError(f"{name}: images of one series differ in {what}; expected the same in all")
    places = np.array([[*frame.position, *frame.spacing] for frame in frames])
    if not np.isfinite(places).all() or first.spacing.min() <= 0:
        raise VolumeError(
            f"{name}: PixelSpacing {first.spacing.tolist()} or a position is no length; expected mm"
        )
    lengths = np.linalg.norm([first.along_row, first.along_column], axis=1)
    if (
        np.abs(lengths - 1).max() > UNIT_TOLERANCE
        or abs(first.along_row @ first.along_column) > UNIT_TOLERANCE
    ):
        raise VolumeError(f"{name}: ImageOrientationPatient of no right angle; expected two unit vectors")
    if len(frames) < LEAST_SLICES:
        raise VolumeError(f"{name}: {len(frames)} images; expected {LEAST_SLICES} or more slices")
    check_grid(name, (first.shape[1], first.shape[0], len(frames)), np.dtype(np.int16))
    normal = np.cross(first.along_row, first.along_column)
    ordered = sorted(frames, key=lambda frame: float(frame.position @ normal))
    steps = np.diff([frame.position @ normal for frame in ordered])
    usual = float(np.median(steps))
    if steps.min() < 0.01:
        raise VolumeError(f"{name}: several images at one place (echoes, time points?); expected one volume")
    worst = int(np.argmax(np.abs(steps - usual)))
    if abs(steps[worst] - usual) > TOLERANCE_MM / 2:
        lost = round(float(steps[worst]) / usual) - 1
        told = f"{steps[worst]:.2f} mm from slice {worst + 1} to {worst + 2} of {len(ordered)}"
        why = f" ({lost} missing?)" if lost > 0 else ""
        raise VolumeError(f"{name}: {told}{why}; expected {usual:.2f} mm as between the others")
    line = np.linspace(ordered[0].position, ordered[-1].position, len(ordered))
    off = float(np.linalg.norm([frame.position for frame in ordered] - line, axis=1).max())
    if off > TOLERANCE_MM:
        raise VolumeError(f"{name}: an image lies {off:.2f} mm beside the stack of the others; expected 0")
    return ordered


def _parallel(one: Frame, other: Frame) -> bool:
    return np.allclose(one.along_row, other.along_row, atol=UNIT_TOLERANCE) and np.allclose(
        one.along_column, other.along_column, atol=UNIT_TOLERANCE
    )


def parse(name: str, content: bytes, voxels: bool) -> Dataset:
    """The data set, of which only ``TAGS`` are read."""
    if DEFLATED in content:
        raise VolumeError(f"{name}: a DICOM file in deflated transfer syntax; expected any other")
    try:
        found = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not voxels, specific_tags=list(TAGS))
        for _ in found.iterall():
            pass  # pydicom decodes a value when it is first asked for: here, where errors are caught
        return found
    except BROKEN as error:
        raise VolumeError(f"{name}: a broken DICOM file ({type(error).__name__})") from error


def _is_image(header: Dataset) -> bool:
    placed = "ImagePositionPatient" in header and "ImageOrientationPatient" in header
    return (
        "Rows" in header and "Columns" in header and (placed or "PerFrameFunctionalGroupsSequence" in header)
    )


def _frames(header: Dataset, file: int) -> list[Frame]:
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]

    def value(own: Dataset, sequence: str, keyword: str) -> Floats:
        for place in (own, shared[0]):
            if sequence in place:
                return np.array(place[sequence][0][keyword].value, float)
        return np.array(header[keyword].value, float)

    frames = []
    for index, own in enumerate(per_frame):
        direction = value(own, "PlaneOrientationSequence", "ImageOrientationPatient").reshape(2, 3)
        frames.append(
            Frame(
                file=file,
                index=index,
                position=value(own, "PlanePositionSequence", "ImagePositionPatient").reshape(3),
                along_row=direction[0],
                along_column=direction[1],
                spacing=value(own, "PixelMeasuresSequence", "PixelSpacing").reshape(2),
                shape=(int(header.Rows), int(header.Columns)),
            )
        )
    return frames
