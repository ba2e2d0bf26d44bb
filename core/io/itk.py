"""Between ``Volume`` and ANTs images, and the formats that ANTs reads (.mha, .nrrd).

ITK counts millimetres to the left, back and top (LPS); ``Volume`` to the right, front and top (RAS).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from core.io.checks import VolumeError, check_affine, check_grid

# One thread gives the same sums in the same order on every run; ITK reads this at its import.
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
import ants

SEED = 1
ants.config.set_ants_deterministic(on=False, seed_value=SEED)  # on=True would refuse AffineFast

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS mm to LPS mm and back
_HEADER = 1 << 16  # bytes searched for a text header


def itk_affine(affine: np.ndarray) -> np.ndarray:
    """The nearest affine that ITK can hold: same spacing and origin, axes made orthogonal.

    A sheared grid has no ITK image. ``affine @ inv(itk_affine(affine))`` takes the stand-in's RAS mm
    to true RAS mm, and is the identity for grids without shear.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    near = np.eye(4)
    near[:3, :3] = (left @ right) * spacing
    near[:3, 3] = affine[:3, 3]
    return near


def to_ants(data: np.ndarray, affine: np.ndarray) -> Any:
    """ANTs image of ``data`` (X, Y, Z) on ``itk_affine(affine)``."""
    lps = FLIP @ itk_affine(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return ants.from_numpy(
        np.ascontiguousarray(data, dtype=np.float32),
        origin=lps[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=lps[:3, :3] / spacing,
    )


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read .mha or .nrrd: (X, Y, Z) float32 as stored, and its affine to RAS+ mm.

    Raises
    ------
    VolumeError
        Where the file is no such image, keeps its voxels in another file, is cut off, or its grid is
        refused by ``core.io.checks``.
    """
    name = path.name
    fields = _text_header(path)
    if not fields:
        raise VolumeError(f"{name}: not an image, no header; expected {path.suffix.lower()}")
    elsewhere = (
        fields.get("elementdatafile", "LOCAL") != "LOCAL" or "data file" in fields or "datafile" in fields
    )
    if elsewhere:  # A header could name any file of the machine.
        raise VolumeError(f"{name}: its voxels lie in another file; expected them in this one")
    try:
        header = ants.image_header_info(str(path))
    except (RuntimeError, ValueError) as error:
        raise VolumeError(
            f"{name}: not an image ({_last_line(error)}); expected {path.suffix.lower()}"
        ) from error
    components = int(header["nComponents"])
    dtype = np.dtype(np.float32 if header["pixelclass"] == "scalar" and components == 1 else np.complex64)
    check_grid(name, tuple(int(n) for n in header["dimensions"]), dtype)
    try:
        image = ants.image_read(str(path))
    except (RuntimeError, ValueError) as error:
        raise VolumeError(
            f"{name}: voxels can't be read, cut off or damaged ({_last_line(error)}); expected a whole file"
        ) from error
    data = image.numpy()
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.direction)[:3, :3] * np.asarray(image.spacing[:3])
    affine[:3, 3] = image.origin[:3]
    affine = FLIP @ affine
    check_affine(name, affine)
    return data.reshape(data.shape[:3]), affine


def _text_header(path: Path) -> dict[str, str]:
    """Keys (lower case) and values of a MetaImage or NRRD header; empty where there is none."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    fields: dict[str, str] = {}
    separator = "=" if path.suffix.lower() == ".mha" else ":"
    for raw in head.split(b"\n"):
        line = raw.decode("latin-1").strip()
        if line == "" and separator == ":":
            break
        key, found, value = line.partition(separator)
        if found:
            fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    return fields


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
