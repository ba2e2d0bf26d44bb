"""One DICOM series as a ``Volume``: converted by dicom2nifti, checked against each image's own place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.io.archive import opened
from core.io.checks import VolumeError, check_affine, check_grid
from core.io.series import BROKEN, TOLERANCE_MM, Floats, Frame, Skipped, choose, in_order, parse, survey
from core.io.volume import Volume, from_stored


@dataclass(frozen=True)
class DicomScan:
    """A converted series and what was left aside."""

    volume: Volume
    series: int | None
    slices: int
    skipped: Skipped


def load_dicom(source: Path, series: int | None = None) -> DicomScan:
    """Read the one series, or that of number ``series``, in a folder or .zip.

    Raises
    ------
    VolumeError
        Where there is no series or more than one (they are listed), slices are missing or unevenly spaced,
        images differ in size, spacing or direction, or the converted volume does not lie within 0.1 mm of
        where each image says that it does.
    """
    source = Path(source)
    name = source.name
    with opened(source) as readers:
        found, skipped = survey(name, readers)
        chosen = choose(name, found, skipped, series)
        frames = in_order(name, chosen.frames)
        files = list(dict.fromkeys(frame.file for frame in frames))
        data_sets = {file: parse(name, readers[file](-1), voxels=True) for file in files}
    multi = "PerFrameFunctionalGroupsSequence" in data_sets[files[0]]
    if multi and len(files) > 1:
        raise VolumeError(f"{name}: {len(files)} multi-frame files; expected one, or single images")
    if not multi:
        # The converter takes a fall in these numbers for the start of another volume.
        for number, frame in enumerate(frames, 1):
            data_sets[frame.file].InstanceNumber = number
    data, affine = _convert(name, list(data_sets.values()))
    check_affine(name, affine)
    _check_places(name, data, affine, frames, data_sets)
    volume = from_stored(data, affine)
    if volume.data.min() == volume.data.max():
        raise VolumeError(f"{name}: all voxels are {volume.data.min():g}; expected an image")
    return DicomScan(volume, chosen.number, len(frames), skipped)


def _convert(name: str, data_sets: list[Dataset]) -> tuple[NDArray[np.float32], Floats]:
    """Voxels (columns, rows, slices) and their RAS+ affine."""
    from dicom2nifti.convert_dicom import dicom_array_to_nifti
    from dicom2nifti.exceptions import ConversionError, ConversionValidationError

    for one in data_sets:
        if "PixelData" not in one:
            raise VolumeError(f"{name}: an image without voxels; expected PixelData in each")
        if one.get("PhotometricInterpretation") != "MONOCHROME2":
            raise VolumeError(f"{name}: images that are not MONOCHROME2; expected grey values, low is dark")
        one.Modality = one.get("Modality") or "MR"
    try:
        image = dicom_array_to_nifti(data_sets, None, reorient_nifti=False)["NII"]
    except (ConversionError, ConversionValidationError) as error:
        raise VolumeError(f"{name}: the converter refuses the series ({error})") from error
    except BROKEN as error:
        raise VolumeError(f"{name}: voxels that can't be read ({type(error).__name__})") from error
    data = np.asarray(image.dataobj, np.float32)
    check_grid(name, data.shape, data.dtype)
    return data, np.asarray(image.affine, float)


def _check_places(
    name: str,
    data: NDArray[np.float32],
    affine: Floats,
    frames: Sequence[Frame],
    data_sets: dict[int, Dataset],
) -> None:
    """Each image must be found in the volume, voxel for voxel, at the place that its header names."""
    rows, columns = frames[0].shape
    if data.shape != (columns, rows, len(frames)):
        raise VolumeError(f"{name}: {data.shape} converted; expected {(columns, rows, len(frames))} voxels")
    to_ras = np.array([-1.0, -1.0, 1.0])
    inverse = np.linalg.inv(affine)
    for frame in frames:
        right = frame.along_row * frame.spacing[1] * (columns - 1)
        down = frame.along_column * frame.spacing[0] * (rows - 1)
        own = np.array([frame.position + offset for offset in (0 * right, right, down)]) * to_ras
        k = round(float(inverse[2, :3] @ own[0] + inverse[2, 3]))
        voxels = np.array([[0, 0, k], [columns - 1, 0, k], [0, rows - 1, k]])
        off = np.linalg.norm(voxels @ affine[:3, :3].T + affine[:3, 3] - own, axis=1).max()
        if not 0 <= k < len(frames) or off > TOLERANCE_MM:
            raise VolumeError(f"{name}: an image lies {off:.2f} mm off its place; expected {TOLERANCE_MM}")
        source = data_sets[frame.file]
        stored = np.asarray(source.pixel_array, np.float32)
        image = (stored[frame.index] if stored.ndim == 3 else stored).T
        if not _linear(data[:, :, k], image):
            raise VolumeError(f"{name}: the converter put an image in another's place; expected its own")


def _linear(converted: NDArray[np.float32], image: NDArray[np.float32]) -> bool:
    """True where one is the other up to rescaling."""
    if np.ptp(image) == 0 or np.ptp(converted) == 0:
        return bool(np.ptp(image) == np.ptp(converted))
    pair = np.stack([converted.ravel(), image.ravel()]).astype(np.float64)
    return float(np.corrcoef(pair)[0, 1]) > 1 - 1e-6
