"""NIfTI and MGH files read by nibabel, with the header checked before anything is decompressed."""

from __future__ import annotations

import gzip
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


def read_nifti(path: Path, extension: str) -> tuple[np.ndarray, np.ndarray]:
    """Read .nii, .nii.gz or .mgz.

    Returns
    -------
    data : (X, Y, Z) float32, axes as stored
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
            image_class, header, offset = _parse(name, extension, head)
            dtype = header.get_data_dtype()
            shape = check_grid(name, tuple(header.get_data_shape()), dtype)
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            check_affine(name, affine)
            promised = offset + math.prod(shape) * dtype.itemsize
            # Never more than the header promises, whatever the gzip stream would unpack to.
            content = head + stream.read(max(promised - len(head), 0))
            trail = max(len(content) - promised, 0) + len(stream.read(_TRAIL + 1))
    except EOFError as error:
        raise VolumeError(f"{name}: gzip stream is cut off (truncated); expected a whole file") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise VolumeError(f"{name}: not an image, no sound gzip ({error}); expected {extension}") from error
    except (HeaderDataError, MGHError, KeyError, OverflowError) as error:
        raise VolumeError(f"{name}: not an image, unusable header ({error}); expected {extension}") from error
    if len(content) < promised:
        raise VolumeError(
            f"{name}: holds {len(content)} bytes; expected the {promised} that its header promises"
        )
    if trail > _TRAIL:
        raise VolumeError(
            f"{name}: goes on past its voxels; expected the {promised} bytes that its header promises"
        )
    image = image_class.from_bytes(content)
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which the caller reports
        data = image.get_fdata(caching="unchanged", dtype=np.float32)
    return np.asarray(data).reshape(shape), affine


def _parse(name: str, extension: str, head: bytes) -> tuple[Any, Any, int]:
    """Image class, header and offset of the voxels in bytes."""
    if extension == ".mgz":
        if len(head) < _MGH or head[:4] != b"\x00\x00\x00\x01":
            raise VolumeError(f"{name}: not an image, no MGH header; expected .mgz")
        if head[28:30] != b"\x00\x01":
            raise VolumeError(
                f"{name}: orientation is not set (goodRASFlag 0); expected to know left from right"
            )
        return nib.MGHImage, MGHHeader(head[:_MGH], check=False), _MGH
    if len(head) >= _NIFTI1 and head[344:348] == b"n+1\x00":
        image_class, header = nib.Nifti1Image, nib.Nifti1Header(head[:_NIFTI1], check=False)
    elif len(head) >= _NIFTI2 and head[4:8] == b"n+2\x00":
        image_class, header = nib.Nifti2Image, nib.Nifti2Header(head[:_NIFTI2], check=False)
    else:
        raise VolumeError(f"{name}: not an image, no NIfTI header; expected {extension}")
    offset = float(header["vox_offset"])
    if not _NIFTI1 <= offset <= _LEAD:
        raise VolumeError(f"{name}: not an image, voxels at byte {offset:g}; expected {_NIFTI1} to {_LEAD}")
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise VolumeError(
            f"{name}: orientation is not set (sform and qform codes are 0); expected to know left from right"
        )
    return image_class, header, int(offset)
