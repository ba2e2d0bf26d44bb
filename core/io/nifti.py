"""NIfTI and MGH files read by nibabel, with the header checked before anything is decompressed."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError

from core.io.checks import VolumeError, check_affine, check_grid

_NIFTI1, _NIFTI2, _MGH = 348, 540, 284  # bytes of each header
_LEAD = 16 << 20  # most bytes before the voxels: NIfTI extensions
_TRAIL = 1 << 20  # most bytes after them: MGH tags, padding
_CHUNK = 16 << 20  # bytes of voxels read at a time
_SAME_SIDE = 0.9  # cosine, 26 degrees
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (as good as always mm), metre, mm, micrometre


def read_nifti(path: Path, extension: str) -> tuple[np.ndarray, np.ndarray]:
    """Read .nii, .nii.gz or .mgz.

    Returns
    -------
    data : (X, Y, Z) float32, axes as stored; where all voxels are one value, a view of it without memory
    affine : (4, 4) float64, voxel index as stored to RAS+ mm

    Raises
    ------
    VolumeError
        Where the file is no such image, is cut off, or its grid is refused by ``core.io.checks``.
    """
    name = path.name
    zipped = extension != ".nii"
    try:
        with cast(IO[bytes], gzip.open(path) if zipped else path.open("rb")) as stream:
            head = stream.read(_NIFTI2)
            header, offset = _parse(name, extension, head)
            dtype = header.get_data_dtype()
            shape = check_grid(name, tuple(header.get_data_shape()), dtype)
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            if extension != ".mgz":
                affine[:3] *= _unit_mm(name, header)
            check_affine(name, affine)
            if extension != ".mgz":
                _check_sides(name, header)
            data, trail = _voxels(name, stream, head, offset, header, shape)
    except EOFError as error:
        raise VolumeError(f"{name}: gzip stream is cut off (truncated); expected a whole file") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        why = str(error).partition(" (b'")[0]  # without the bytes that it found
        raise VolumeError(
            f"{name}: not a compressed image, or damaged ({why}); expected {extension}"
        ) from error
    except (HeaderDataError, MGHError, KeyError, OverflowError) as error:
        raise VolumeError(f"{name}: not an image, unusable header ({error}); expected {extension}") from error
    if trail > _TRAIL:
        raise VolumeError(
            f"{name}: goes on past its voxels; expected the {offset + math.prod(shape) * dtype.itemsize} "
            "bytes that its header promises"
        )
    return data, affine


def _voxels(
    name: str, stream: IO[bytes], head: bytes, offset: int, header: Any, shape: tuple[int, int, int]
) -> tuple[np.ndarray, int]:
    """Voxels as float32, and the number of bytes after them (at most one more than ``_TRAIL``).

    Slices are read and scaled a few at a time, and memory is taken only once a second value turns up: a
    small file that unpacks to a huge even block costs next to nothing.

    Raises
    ------
    VolumeError
        Where the file ends before the voxels that its header promises.
    """
    dtype = header.get_data_dtype()
    slope, inter = header.get_slope_inter()
    scaling = 1.0 if slope is None else slope, 0.0 if inter is None else inter
    depth = shape[0] * shape[1] * dtype.itemsize  # bytes of a slice
    step = max(_CHUNK // depth, 1)
    lead = head + stream.read(max(offset - len(head), 0))
    ahead, found = lead[offset:], min(len(lead), offset)
    data: np.ndarray | None = None
    value = np.float32(0)
    for start in range(0, shape[2], step):
        stop = min(start + step, shape[2])
        wanted = (stop - start) * depth
        raw = ahead[:wanted] + stream.read(max(wanted - len(ahead), 0))
        ahead, found = ahead[wanted:], found + len(raw)
        if len(raw) < wanted:
            raise VolumeError(
                f"{name}: holds {found} bytes; expected the {offset + shape[2] * depth} that its header "
                "promises"
            )
        place = (shape[0], shape[1], stop - start), dtype, 0, *scaling
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which the caller reports
            part = np.asanyarray(nib.arrayproxy.ArrayProxy(io.BytesIO(raw), place), dtype=np.float32)
        if start == 0:
            value = part[0, 0, 0]
        if data is None:
            if (part == value).all():
                continue
            data = np.full(shape, value, np.float32, order="F")
        data[:, :, start:stop] = part
    trail = len(ahead) + len(stream.read(_TRAIL + 1))
    return np.broadcast_to(value, shape) if data is None else data, trail


def _parse(name: str, extension: str, head: bytes) -> tuple[Any, int]:
    """Header, and offset of the voxels in bytes."""
    if extension == ".mgz":
        if len(head) < _MGH or head[:4] != b"\x00\x00\x00\x01":
            raise VolumeError(f"{name}: not an image, no MGH header; expected .mgz")
        if head[28:30] != b"\x00\x01":
            raise VolumeError(
                f"{name}: orientation is not set (goodRASFlag 0); expected to know left from right"
            )
        return MGHHeader(head[:_MGH], check=False), _MGH
    if len(head) >= _NIFTI1 and head[344:348] == b"n+1\x00":
        header = nib.Nifti1Header(head[:_NIFTI1], check=False)
    elif len(head) >= _NIFTI2 and head[4:8] == b"n+2\x00":
        header = nib.Nifti2Header(head[:_NIFTI2], check=False)
    else:
        raise VolumeError(f"{name}: not an image, no NIfTI header; expected {extension}")
    offset = float(header["vox_offset"])
    if not _NIFTI1 <= offset <= _LEAD:
        raise VolumeError(f"{name}: not an image, voxels at byte {offset:g}; expected {_NIFTI1} to {_LEAD}")
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise VolumeError(
            f"{name}: orientation is not set (sform and qform codes are 0); expected to know left from right"
        )
    return header, int(offset)


def _unit_mm(name: str, header: Any) -> float:
    """Millimetres in the header's unit of length."""
    code = int(header["xyzt_units"]) & 7
    if code not in _UNIT_MM:
        raise VolumeError(
            f"{name}: unit of length has code {code}; expected metre, mm or micrometre (1 to 3)"
        )
    return _UNIT_MM[code]


def _check_sides(name: str, header: Any) -> None:
    """Refuse a header whose two placements, where it has both, disagree on left and right or another axis."""
    if int(header["sform_code"]) == 0 or int(header["qform_code"]) == 0:
        return
    sform, qform = np.asarray(header.get_sform()), np.asarray(header.get_qform())
    first, second = ("".join(code or "?" for code in nib.aff2axcodes(form)) for form in (sform, qform))
    lengths = np.linalg.norm(sform[:3, :3], axis=0) * np.linalg.norm(qform[:3, :3], axis=0)
    cosines = (sform[:3, :3] * qform[:3, :3]).sum(axis=0) / np.maximum(lengths, 1e-12)
    # Oblique grids near 45 degrees may change names by rounding alone: an axis must really point elsewhere.
    if first != second and cosines.min() < _SAME_SIDE:
        raise VolumeError(
            f"{name}: sform says the axes run to {first}, qform to {second}; expected the same, "
            "to know left from right"
        )
