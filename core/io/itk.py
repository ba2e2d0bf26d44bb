"""Between ``Volume`` and ANTs images, deformations, and the formats that ANTs reads (.mha, .nrrd).

ITK counts millimetres to the left, back and top (LPS); ``Volume`` to the right, front and top (RAS).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from core.io.checks import VolumeError, check_affine, check_grid
from core.io.textheader import safe_header

# One thread gives the same sums in the same order on every run; ITK reads this at its import.
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
import ants

SEED = 1
ants.config.set_ants_deterministic(on=False, seed_value=SEED)  # on=True would refuse AffineFast

SYN_ITERATIONS = (40, 20, 0)  # ANTs' own; the last grid is left alone, so that folds may differ
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS mm to LPS mm and back


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


def deformation(
    fixed: np.ndarray,
    moving: np.ndarray,
    affine: np.ndarray,
    mask: np.ndarray,
    iterations: tuple[int, ...] = SYN_ITERATIONS,
) -> tuple[np.ndarray, np.ndarray]:
    """Deform ``moving`` onto ``fixed`` by SyN, from the identity, with Mattes mutual information.

    Avants et al. 2008, Symmetric diffeomorphic image registration with cross-correlation, Med Image Anal
    12:26–41. The same input gives the same fields.

    Parameters
    ----------
    fixed, moving : (X, Y, Z) on one grid
    affine : (4, 4) voxel to RAS+ mm
    mask : (X, Y, Z) of ``fixed``; the metric sees nothing else
    iterations : at most, at a quarter, half and all of the resolution

    Returns
    -------
    (X, Y, Z, 3) float32 voxel offsets, twice: from each voxel of ``fixed`` to its place in ``moving``, and
    from each voxel of ``moving`` to its place in ``fixed``

    Raises
    ------
    RuntimeError, ValueError
        As ANTs does.
    """
    with tempfile.TemporaryDirectory(prefix="fontanelle-") as folder:
        result = ants.registration(
            to_ants(fixed, affine),
            to_ants(moving, affine),
            type_of_transform="SyNOnly",
            outprefix=f"{folder}/",
            mask=to_ants(mask > 0, affine),
            reg_iterations=iterations,
            singleprecision=False,
        )
        warps = [
            next(name for name in result[kind] if name.endswith("Warp.nii.gz"))
            for kind in ("fwdtransforms", "invtransforms")
        ]
        fields = [ants.image_read(name).numpy() for name in warps]
    # Millimetres of LPS to voxels; both images lie on the grid that ITK saw, sheared or not.
    to_voxels = np.linalg.inv((FLIP @ itk_affine(affine))[:3, :3])
    forward, inverse = (np.asarray(field @ to_voxels.T, np.float32) for field in fields)
    return forward, inverse


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read .mha or .nrrd: (X, Y, Z) float32 as stored, and its affine to RAS+ mm.

    ITK is given a copy under a header that ``core.io.textheader`` wrote, so it opens no other file.

    Raises
    ------
    VolumeError
        Where the file is no such image, keeps its voxels in another file, does not tell left from right,
        is cut off, or its grid is refused by ``core.io.checks``.
    """
    name, suffix = path.name, path.suffix.lower()
    header, start = safe_header(path)
    with tempfile.TemporaryDirectory(prefix="fontanelle-") as folder:
        copy = Path(folder) / f"scan{suffix}"
        with path.open("rb") as source, copy.open("wb") as target:
            target.write(header)
            source.seek(start)
            shutil.copyfileobj(source, target)
        try:
            found = ants.image_header_info(str(copy))
        except (RuntimeError, ValueError) as error:
            raise VolumeError(f"{name}: not an image ({_last_line(error)}); expected {suffix}") from error
        components = int(found["nComponents"])
        real = found["pixelclass"] == "scalar" and components == 1
        shape = tuple(int(n) for n in found["dimensions"])
        check_grid(name, shape, np.dtype(np.float32 if real else np.complex64))
        try:
            image = ants.image_read(str(copy))
        except (RuntimeError, ValueError) as error:
            raise VolumeError(
                f"{name}: voxels can't be read, cut off or damaged ({_last_line(error)}); "
                "expected a whole file"
            ) from error
    data = image.numpy()
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.direction)[:3, :3] * np.asarray(image.spacing[:3])
    affine[:3, 3] = image.origin[:3]
    affine = FLIP @ affine
    check_affine(name, affine)
    return data.reshape(data.shape[:3]), affine


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
