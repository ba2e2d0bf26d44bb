"""Volumes as the browser gets them: small gzipped NIfTI files built from the derivatives once, then kept.

One case and model has the scan (``base``) and the reconstruction as uint8 inside a robust window, the brain
mask, and the signed z maps as int8 in steps of 1/16. All are in RAS+ voxel order, so that the browser needs
no reorientation, and all share the scan's grid.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import RLock

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from app.cases import address, plain, stamp
from app.viewer.kept import kept
from core.config import settings
from core.io.derivatives import MAP_NAMES, CasePaths, CaseRecord, DerivativesError, MapName, read_record
from core.io.volume import file_hash

Kind = str
MAP_KINDS: dict[MapName, Kind] = {name: f"z-{name}" for name in MAP_NAMES}
KINDS: tuple[Kind, ...] = ("base", "mask", "reconstruction", *MAP_KINDS.values())
Z_STEP = 1 / 16
# Largest |z| that int8 holds at that step; the viewer shows it as "≥7.9".
Z_LIMIT = 127 * Z_STEP
CACHE_BYTES = 256 * 2**20

Array = NDArray[np.float32]


class VolumeMissing(DerivativesError):
    """A derivatives image that is gone, unreadable or on another grid than its scan."""


class VolumeChanged(DerivativesError):
    """A derivatives file that is no longer the one that the analysis wrote."""


@dataclass(frozen=True)
class Wire:
    """One volume ready to send."""

    data: bytes  # gzipped NIfTI-1
    hash: str  # sha256 of ``data``
    shape: tuple[int, int, int]  # RAS+ voxel order


@dataclass(frozen=True)
class Grid:
    """An image in memory: data (X, Y, Z) float32 and affine (4, 4), both RAS+."""

    data: Array
    affine: NDArray[np.float64]


def read_grid(path: Path) -> Grid:
    """Read a derivatives image into RAS+ voxel order.

    Unlike ``core.io.volume`` it takes constant images: a map without any finding is one.

    Raises
    ------
    VolumeMissing
        Where the file is missing, no image, or not 3D.
    """
    try:
        image = nib.load(path)
        canonical = nib.as_closest_canonical(image)
        data = np.nan_to_num(np.asarray(canonical.dataobj, dtype=np.float32), posinf=0.0, neginf=0.0)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise VolumeMissing(
            f"{path.name}: can't be read ({plain(error, path.parent)}); analyse the scan again"
        ) from error
    if data.ndim != 3:
        raise VolumeMissing(f"{path.name}: has {data.ndim} dimensions, expected 3; analyse the scan again")
    return Grid(data, canonical.affine)


def robust_window(data: Array, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """0.5th and 99.5th percentile of ``data`` inside ``mask``; the range where these coincide."""
    values = data[mask] if mask.any() else data
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if high <= low:
        low, high = float(data.min()), float(data.max())
    return low, high if high > low else low + 1.0


def to_uint8(data: Array, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Map ``window`` linearly to 0…255, clipped."""
    low, high = window
    return np.rint(np.clip((data - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def to_int8(z: Array) -> NDArray[np.int8]:
    """Steps of 1/16, cut toward zero.

    Cutting instead of rounding keeps every band exact: a voxel of z = 2.97 must not turn into 3.
    """
    return np.trunc(np.clip(z, -Z_LIMIT, Z_LIMIT) / Z_STEP).astype(np.int8)


def encode(data: NDArray, affine: NDArray[np.float64], slope: float, intercept: float) -> Wire:
    """Gzipped single-file NIfTI-1; equal input gives equal bytes."""
    header = nib.Nifti1Header()
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = slope, intercept
    header["magic"], header["vox_offset"] = b"n+1", 352
    return received(gzip.compress(header.binaryblock + bytes(4) + data.tobytes(order="F"), 6, mtime=0))


def received(data: bytes) -> Wire:
    """A gzipped volume with its hash and shape."""
    start = zlib.decompressobj(wbits=31).decompress(data, 48)
    x, y, z = (int(n) for n in np.frombuffer(start, "<i2", 3, offset=42))  # dim[1:4] of the header
    return Wire(data, hashlib.sha256(data).hexdigest(), (x, y, z))


def _encode_windowed(image: Path, mask: Path) -> Wire:
    grid, brain = read_grid(image), read_grid(mask)
    if brain.data.shape != grid.data.shape:
        raise VolumeMissing(f"{mask.name}: grid {brain.data.shape}, expected {grid.data.shape}")
    window = robust_window(grid.data, binary_dilation(brain.data > 0, iterations=2))
    return encode(to_uint8(grid.data, window), grid.affine, (window[1] - window[0]) / 255, window[0])


def _encode_mask(image: Path) -> Wire:
    grid = read_grid(image)
    return encode((grid.data > 0).astype(np.uint8), grid.affine, 1.0, 0.0)


def in_brain(paths: CasePaths, mm: tuple[float, float, float]) -> bool:
    """Whether a point (RAS+ mm) lies in the scan's brain mask, in the voxel that holds it.

    Raises
    ------
    VolumeMissing
        Where the mask is missing or unreadable.
    """
    brain = read_grid(paths.mask)
    i, j, k = np.rint(np.linalg.inv(brain.affine) @ (*mm, 1.0))[:3].astype(int).tolist()
    nx, ny, nz = brain.data.shape
    return 0 <= i < nx and 0 <= j < ny and 0 <= k < nz and bool(brain.data[i, j, k] > 0)


def _encode_z(image: Path) -> Wire:
    grid = read_grid(image)
    return encode(to_int8(grid.data), grid.affine, Z_STEP, 0.0)


def stored_axes(path: Path) -> str:
    """Axis codes of an image's file as stored, for example "LAS"; reads its header only.

    Raises
    ------
    VolumeMissing
        Where the file is missing or no image.
    """
    try:
        image = nib.load(path)
        assert isinstance(image, nib.spatialimages.SpatialImage)
        return "".join(nib.aff2axcodes(image.affine))
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise VolumeMissing(
            f"{path.name}: can't be read ({plain(error, path.parent)}); analyse the scan again"
        ) from error


def sources(paths: CasePaths, model: str, kind: Kind) -> tuple[Path, ...]:
    """Files that ``kind`` is built from."""
    if kind == "base":
        return paths.acquired, paths.mask
    if kind == "mask":
        return (paths.mask,)
    if kind == "reconstruction":
        return paths.reconstruction(model), paths.mask
    return (paths.z(model, next(name for name, of in MAP_KINDS.items() if of == kind)),)


def kinds(record: CaseRecord) -> list[Kind]:
    """Volumes that an analysis has: without the maps that it did not work out."""
    absent = {kind for name, kind in MAP_KINDS.items() if name not in record.bands}
    return [kind for kind in KINDS if kind not in absent]


_Stamp = tuple[tuple[str, int, int], ...]
_cache: OrderedDict[_Stamp, Wire] = OrderedDict()
_lock = RLock()
_cases: dict[str, tuple[CasePaths, str]] = {}


def _cached(kind: Kind, files: tuple[Path, ...], build: Callable[[], Wire]) -> Wire:
    try:
        stamps = tuple((str(file), *stamp(file)) for file in files)
        hashes = [_hash(file, stamp(file)) for file in files]
    except OSError as error:
        name = Path(error.filename).name
        raise VolumeMissing(f"{name}: missing; analyse the scan again") from error
    with _lock:
        if stamps not in _cache:
            folder = settings().data_dir / "cache" / "viewer"
            _cache[stamps] = received(kept(folder, kind, hashes, lambda: build().data))
            while len(_cache) > 1 and sum(len(wire.data) for wire in _cache.values()) > CACHE_BYTES:
                _cache.popitem(last=False)
        _cache.move_to_end(stamps)
        return _cache[stamps]


def wire(paths: CasePaths, model: str, kind: Kind) -> Wire:
    """The volume ``kind`` of one case and model, from memory or disk where its files have not changed.

    Raises
    ------
    VolumeMissing
        Where a file is missing, unreadable, or the mask lies on another grid.
    """
    files = sources(paths, model, kind)
    if kind in ("base", "reconstruction"):
        return _cached("windowed", files, lambda: _encode_windowed(*files))
    if kind == "mask":
        return _cached("mask", files, lambda: _encode_mask(*files))
    return _cached("z", files, lambda: _encode_z(*files))


@lru_cache(maxsize=4096)
def _hash(path: Path, changes_with: tuple[int, int]) -> str:
    """SHA-256 of a file; ``changes_with`` only keys the cache."""
    return file_hash(path)


def check_files(paths: CasePaths, record: CaseRecord) -> None:
    """Hold scan, mask, z maps, reconstruction and regions against the hashes in the record.

    A file that is missing is left to ``wire``, which knows whether it is needed.

    Raises
    ------
    VolumeChanged
        Where a file is not the one that the analysis wrote.
    """
    files = {file for kind in kinds(record) for file in sources(paths, record.model, kind)}
    for file in sorted([*files, paths.regions(record.model)]):
        try:
            same = not file.exists() or _hash(file, stamp(file)) == record.files.get(file.name)
        except OSError as error:
            raise VolumeMissing(f"{file.name}: can't be read ({error.strerror})") from error
        if not same:
            raise VolumeChanged(f"{file.name}: changed since this analysis; analyse the scan again")


def remember(record: CaseRecord, paths: CasePaths) -> None:
    """Let ``locate`` find an analysis without a search."""
    _cases[address(record)] = (paths, record.model)


def locate(root: Path, asked: str) -> tuple[CasePaths, str] | None:
    """Paths and model of the analysis at the address ``asked`` below ``root``, or None."""
    found = _cases.get(asked)
    if found is not None and found[0].root == root:
        return found
    for path in root.glob("sub-*/ses-*/anat/*_case.json"):
        try:
            record = read_record(path)
        except DerivativesError:
            continue  # the worklist names broken records; here they merely don't match
        if address(record) == asked:
            remember(record, CasePaths(root, record.subject, record.session))
            return _cases[asked]
    return None
