"""A 3D scan with its place in the world: ``Volume``, and how it is read from and written to files."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt2axcodes,
    ornt_transform,
)
from numpy.typing import DTypeLike

from core.io.atomic import atomic
from core.io.checks import VolumeError
from core.io.nifti import read_nifti

READ = (".nii", ".nii.gz", ".mgz", ".mha", ".nrrd")
WRITTEN = (".nii", ".nii.gz")
__all__ = ["Volume", "VolumeError", "describe_grid", "file_hash", "from_stored", "load_labels", "load_mask"]
__all__ += ["load_volume", "same_grid", "save_volume"]

RAS = ("R", "A", "S")


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan, mask or map on one grid.

    Parameters
    ----------
    data : (X, Y, Z) float32
        Voxel axes run to the right, front and top, or as near as a flip and swap of axes brings them.
    affine : (4, 4) float64
        Voxel index to RAS+ millimetres; oblique and sheared grids are kept as they are.
    stored : three axis codes
        Order of the axes in the file, such as ``("L", "A", "S")``; ``save_volume`` writes in it.

    Raises
    ------
    VolumeError
        Where ``data`` is not 3D, or ``affine`` is not (4, 4) with axes nearest to R, A, S.
    """

    data: np.ndarray
    affine: np.ndarray
    stored: tuple[str, str, str] = RAS

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", np.asarray(self.data, dtype=np.float32))
        object.__setattr__(self, "affine", np.asarray(self.affine, dtype=np.float64))
        if self.data.ndim != 3:
            raise VolumeError(f"volume: data of shape {self.data.shape}; expected three axes")
        if self.affine.shape != (4, 4) or nib.aff2axcodes(self.affine) != RAS:
            raise VolumeError("volume: affine is not (4, 4) with axes nearest to R, A, S; expected that")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along right, front and top."""
        return cast(tuple[int, int, int], self.data.shape)

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm between voxel centres along each axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_volume(self) -> float:
        """mm³ of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def with_data(self, data: np.ndarray) -> Volume:
        """The same grid with other values.

        Raises
        ------
        VolumeError
            Where ``data`` has another shape.
        """
        if data.shape != self.shape:
            raise VolumeError(f"volume: data of shape {data.shape}; expected {self.shape}")
        return replace(self, data=data)

    @property
    def _to_stored(self) -> np.ndarray:
        return ornt_transform(axcodes2ornt(RAS), axcodes2ornt(self.stored))

    @property
    def stored_data(self) -> np.ndarray:
        """Values in the axis order of the file."""
        return np.ascontiguousarray(apply_orientation(self.data, self._to_stored))

    @property
    def stored_affine(self) -> np.ndarray:
        """(4, 4) from voxel index as stored in the file to RAS+ mm."""
        return self.affine @ inv_ornt_aff(self._to_stored, self.shape)


def from_stored(data: np.ndarray, affine: np.ndarray) -> Volume:
    """Bring an array of any axis order to RAS+ by flips and swaps; no voxel is interpolated."""
    orientation = io_orientation(affine)
    ras = np.ascontiguousarray(apply_orientation(np.asarray(data, dtype=np.float32), orientation))
    codes = cast(tuple[str, str, str], tuple(ornt2axcodes(orientation)))
    return Volume(ras, affine @ inv_ornt_aff(orientation, data.shape), codes)


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_volume(path: Path) -> Volume:
    """Read a scan from .nii, .nii.gz, .mgz, .mha or .nrrd.

    Raises
    ------
    VolumeError
        Where the file is no usable 3D scan: unknown format, empty, cut off, not 3D, more than 512 voxels
        on an axis, singular affine, spacing outside 0.1 to 10 mm, NaN, infinite or constant voxels.
        The grid is checked from the header before voxels are read.
    """
    return _read(Path(path), lambda value: f"all voxels are {value:g}; expected an image")


def load_mask(path: Path, like: Volume) -> Volume:
    """Read a brain mask (0 and 1) on the grid of ``like``.

    Raises
    ------
    VolumeError
        As ``load_volume``; and where the mask has other values than 0 and one positive number, lies on
        another grid (corners more than a tenth of a voxel off), is empty, or fills the grid.
    """
    path = Path(path)
    mask = _read(path, _no_mask)
    values = np.unique(mask.data)
    if len(values) > 2 or values[0] < 0 or (len(values) == 2 and values[0] != 0):
        raise VolumeError(
            f"{path.name}: {len(values)} distinct values from {values[0]:g} to {values[-1]:g}; "
            "expected a mask of 0 and one positive value"
        )
    if not same_grid(mask, like):
        raise VolumeError(f"{path.name}: mask on {describe_grid(mask)}; expected {describe_grid(like)}")
    return like.with_data((mask.data > 0).astype(np.float32))


def load_labels(path: Path) -> Volume:
    """Read a label map; one without any label, which says that there is nothing, is as good as others.

    Raises
    ------
    VolumeError
        As ``load_volume``, but not where all voxels are 0.
    """
    return _read(Path(path), lambda value: "" if value == 0 else f"all voxels are {value:g}; expected labels")


def _no_mask(value: float) -> str:
    """Why a mask of this value alone is none."""
    if value == 0:
        return "empty mask; expected the brain's voxels to be 1"
    if value > 0:
        return "mask fills the whole grid; expected 0 outside the brain"
    return f"all voxels are {value:g}; expected a mask of 0 and one positive value"


def same_grid(a: Volume, b: Volume) -> bool:
    """True where both have one shape, and their corners lie within a tenth of the smallest voxel."""
    if a.shape != b.shape:
        return False
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(a.shape) - 1
    offset = np.linalg.norm(corners @ (a.affine - b.affine).T, axis=1).max()
    return bool(offset <= 0.1 * b.spacing.min())


def describe_grid(volume: Volume) -> str:
    """Shape, spacing and origin in words, for error messages."""
    shape = "×".join(str(n) for n in volume.shape)
    spacing = "×".join(f"{mm:.3g}" for mm in volume.spacing)
    origin = ", ".join(f"{mm:.1f}" for mm in volume.affine[:3, 3])
    return f"a grid of {shape} voxels of {spacing} mm from ({origin}) mm"


def save_volume(volume: Volume, path: Path, dtype: DTypeLike = np.float32) -> None:
    """Write .nii or .nii.gz in the stored axis order; whole or absent, and byte for byte repeatable.

    Raises
    ------
    VolumeError
        On another extension, or values that an integer ``dtype`` can't hold.
    """
    path = Path(path)
    if _extension(path) not in WRITTEN:
        raise VolumeError(f"{path.name}: can't write this format; expected {' or '.join(WRITTEN)}")
    data = volume.stored_data
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        data, limits = np.rint(data), np.iinfo(kind)
        if not np.isfinite(data).all() or data.min() < limits.min or data.max() > limits.max:
            raise VolumeError(f"{path.name}: values that {kind} can't hold; expected a wider dtype")
    image = nib.Nifti1Image(data.astype(kind), volume.stored_affine)
    image.set_sform(volume.stored_affine, code=1)
    image.set_qform(volume.stored_affine, code=1)
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=1, mtime=0)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _extension(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def _read(path: Path, even: Callable[[float], str]) -> Volume:
    """Any accepted file as a ``Volume`` with finite voxels.

    ``even`` words the refusal of one value alone; empty where that is none.
    """
    extension, name = _extension(path), path.name
    if extension not in READ:
        raise VolumeError(
            f"{name}: unknown extension {extension or '(none)'}; expected one of {', '.join(READ)}"
        )
    if not path.is_file():
        raise VolumeError(f"{name}: no such file; expected a scan")
    if path.stat().st_size == 0:
        raise VolumeError(f"{name}: empty file; expected a scan")
    if extension in (".mha", ".nrrd"):
        from core.io.itk import read_itk  # ANTs takes seconds to import; most scans are NIfTI

        data, affine = read_itk(path)
    else:
        data, affine = read_nifti(path, extension)
    low, high = data.min(), data.max()
    if low == high and np.isfinite(low) and (fault := even(float(low))) != "":  # before a copy of it is made
        raise VolumeError(f"{name}: {fault}")
    if not np.isfinite(data).all():
        count = int(np.size(data) - np.isfinite(data).sum())
        raise VolumeError(f"{name}: {count} voxels are NaN or infinite; expected finite numbers")
    return from_stored(data, affine)
