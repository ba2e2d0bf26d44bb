"""A scan on its way to the network: mask, bias field, registration, cube, intensities; and the way back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

import numpy as np

import core
from core.io.atomic import write_bytes
from core.io.derivatives import CasePaths
from core.io.volume import Volume, load_mask, load_volume, same_grid, save_volume
from core.preprocess import bias, brain, intensity
from core.preprocess.errors import PrepareError
from core.preprocess.harmonise import Landmarks, check_landmarks, harmonised
from core.preprocess.qc import qc_picture
from core.preprocess.register import Reference, cube_affine, dice, overlap, register
from core.preprocess.resample import bounding_box, index_map, resample, resample_inside, resample_masked

__all__ = ["VERSION", "PrepareError", "PrepareSettings", "Prepared", "Reference", "prepare", "read_prepared"]
__all__ += ["settings_from_dict", "settings_to_dict", "to_scan_grid", "write_prepared"]

VERSION = 1  # enters the case's key; raise it when the same settings give other voxels
_MARGIN_MM = 6.0  # kept around the brain for bias field and registration
_LEAST_OVERLAP = 0.3  # less is no registration; what lies above is reported and left to the reader
ONE_CHANNEL, TWO_CHANNELS = ("T2w",), ("T2w", "T1w")
_PACKAGES = ("antspyx", "nibabel", "numpy", "scipy", "brainextractor")


@dataclass(frozen=True)
class PrepareSettings:
    """How a scan is prepared; every field enters the case's key.

    ``cube`` voxels a side over ``fov_mm``; ``bias`` n4, n3 or none; ``intensity`` minmax (paper) or robust;
    ``mask`` auto, given, stripped, bet or command. ``landmarks``: a site's, and the model's that they are
    brought to (``harmonise``), of the T2w alone; none as in the paper. ``channels``: what the network sees;
    the T2w alone as in the paper, or a T1w beside it (``channel``).

    Raises
    ------
    PrepareError
        On a value that is not one of these.
    """

    cube: int = 256
    fov_mm: float = 128.0
    bias: str = "n4"
    intensity: str = "minmax"
    mask: str = "auto"
    landmarks: Landmarks = ()
    channels: tuple[str, ...] = ONE_CHANNEL

    def __post_init__(self) -> None:
        choices = {"bias": bias.METHODS, "intensity": intensity.METHODS, "mask": brain.METHODS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise PrepareError(f"{name}: {getattr(self, name)!r}; expected one of {', '.join(known)}")
        if not 8 <= self.cube <= 512:
            raise PrepareError(f"cube: {self.cube}; expected 8 to 512 voxels")
        if not 32 <= self.fov_mm <= 512:
            raise PrepareError(f"fov_mm: {self.fov_mm}; expected 32 to 512 mm")
        check_landmarks(self.landmarks)
        if self.channels not in (ONE_CHANNEL, TWO_CHANNELS):
            raise PrepareError(f"channels: {self.channels!r}; expected {ONE_CHANNEL} or {TWO_CHANNELS}")


def settings_from_dict(raw: dict[str, Any]) -> PrepareSettings:
    """Settings from JSON.

    Raises
    ------
    PrepareError
        On an unknown key or value.
    """
    known = {field.name for field in fields(PrepareSettings)}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise PrepareError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    pair = tuple(tuple(float(value) for value in values) for values in raw.get("landmarks", ()))
    channels = raw.get("channels", ONE_CHANNEL)
    if isinstance(channels, str):
        raise PrepareError(f"channels: {channels!r}; expected a list")
    return PrepareSettings(**{**raw, "landmarks": pair, "channels": tuple(channels)})


def settings_to_dict(settings: PrepareSettings) -> dict[str, Any]:
    """Settings for JSON and keys; landmarks and channels beyond the T2w only where there are some.

    So older keys hold.
    """
    raw = asdict(settings)
    if settings.landmarks == ():
        del raw["landmarks"]
    if settings.channels == ONE_CHANNEL:
        del raw["channels"]
    return raw


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan that the network can read, with the way back to the scan.

    scan, mask : the scan's own grid, mask 0/1
    cube, cube_mask : (N, N, N) in the reference's world; cube in [0, 1], 0 outside the mask
    scan_to_reference : (4, 4), RAS+ mm to RAS+ mm
    mask_source : given, stripped, bet or command
    overlap : Dice of the scan's mask with the reference's inside the cube
    times : seconds by step
    qc : PNG
    extra : other channels on the cube's grid, in [0, 1], 0 outside the mask; empty as in the paper
    """

    scan: Volume
    mask: Volume
    cube: Volume
    cube_mask: Volume
    scan_to_reference: np.ndarray
    mask_source: brain.Source
    overlap: float
    times: dict[str, float]
    qc: bytes
    extra: tuple[Volume, ...] = ()

    @property
    def x(self) -> np.ndarray:
        """What a network sees: (N, N, N), or (C, N, N, N), T2w first, where there are other channels."""
        if self.extra == ():
            return self.cube.data
        return np.stack([self.cube.data, *(channel.data for channel in self.extra)])


def prepare(
    scan: Volume, mask: Volume | None, reference: Reference, settings: PrepareSettings, note: str = ""
) -> Prepared:
    """Run the paper's preprocessing (Raad et al. 2023, Methods) with a single interpolation.

    Brain mask, bias field inside it, AffineFast to the reference on the scan's own grid, one linear
    resampling into the cube, intensities to [0, 1] in the mask. The same input gives the same output bit
    for bit on one machine.

    Parameters
    ----------
    mask : brain mask on the scan's grid, where there is one
    note : printed on the QC picture, such as "synthetic"

    Raises
    ------
    PrepareError
        Where a step finds no plausible result, or the brain's intensities are no magnitudes; the text names
        the step.
    """
    if mask is not None and not same_grid(mask, scan):
        raise PrepareError("mask: not on the scan's grid; expected equal shape and affine")
    times: dict[str, float] = {}
    with _timed(times, "mask"):
        inside, source = brain.brain_mask(
            scan, mask, settings.mask, lambda found: _fit(scan, found, reference)
        )
        if not inside.any():
            raise PrepareError("mask: empty; expected the brain's voxels to be 1")
        intensity.check_magnitude(scan.data, inside)
    # The rest of the head tells nothing: work on the brain's box alone.
    box = bounding_box(inside, int(np.ceil(_MARGIN_MM / scan.spacing.min())))
    affine, part = _cropped(scan.affine, box), inside[box]
    with _timed(times, "bias"):
        corrected = bias.correct_bias(scan.data[box], part, affine, settings.bias)
    with _timed(times, "register"):
        scan_to_reference = register(corrected, part, affine, reference)
    with _timed(times, "resample"):
        target = cube_affine(reference, settings.cube, settings.fov_mm)
        size = (settings.cube,) * 3
        sampled, cube_mask = resample_masked(
            corrected, part, index_map(affine, target, np.linalg.inv(scan_to_reference)), size
        )
        expected = (
            resample(reference.mask.data, index_map(reference.mask.affine, target, np.eye(4)), size) >= 0.5
        )
        fit = dice(cube_mask, expected)
        if fit < _LEAST_OVERLAP:
            raise PrepareError(
                f"register: overlap with reference {reference.name} is {fit:.2f}; "
                f"expected {_LEAST_OVERLAP:g} or more"
            )
    with _timed(times, "intensity"):
        unit = intensity.to_unit(sampled, cube_mask, settings.intensity)
        unit = harmonised(unit, cube_mask, settings.landmarks)
    cube = Volume(unit, target)
    with _timed(times, "qc"):
        caption = f"mask: {source}   overlap with reference (Dice): {fit:.3f}" + (
            f"   {note}" if note else ""
        )
        rows = [
            ("as acquired, brain mask", scan, inside),
            (f"bias field: {settings.bias}", Volume(corrected, affine), part),
            (f"in the cube of {settings.cube} voxels a side, reference's mask", cube, expected),
        ]
        picture = qc_picture(rows, caption)
    return Prepared(
        scan=scan,
        mask=scan.with_data(inside.astype(np.float32)),
        cube=cube,
        cube_mask=Volume(cube_mask, target),
        scan_to_reference=scan_to_reference,
        mask_source=source,
        overlap=fit,
        times=times,
        qc=picture,
    )


def to_scan_grid(cube_map: Volume, prepared: Prepared, order: int = 1) -> Volume:
    """Bring a map of the cube back to the scan's own grid: one interpolation, 0 outside the brain mask.

    ``order`` 1 is linear; 0 (nearest) for labels, and for z, whose extremes interpolation would lower. Only
    voxels of the cube's mask count: elsewhere in the scan's mask the nearest of them does.

    Raises
    ------
    PrepareError
        Where the map is not on the cube, or ``order`` is neither 0 nor 1.
    """
    if order not in (0, 1):
        raise PrepareError(f"order: {order!r}; expected 0 (nearest) or 1 (linear)")
    if not same_grid(cube_map, prepared.cube):
        raise PrepareError(
            f"map of {cube_map.shape} voxels is not on the cube; expected {prepared.cube.shape}"
        )
    inside = prepared.mask.data > 0
    box = bounding_box(inside, 0)
    to_cube = index_map(cube_map.affine, _cropped(prepared.scan.affine, box), prepared.scan_to_reference)
    values = np.zeros(prepared.scan.shape, np.float32)
    values[box] = resample_inside(cube_map.data, prepared.cube_mask.data > 0, to_cube, inside[box], order)
    return prepared.scan.with_data(values)


def write_prepared(prepared: Prepared, paths: CasePaths, cube: int, extra: dict[str, Any]) -> None:
    """Write scan, mask, cube, QC picture and, last, the sidecar; each file whole or absent.

    ``extra`` joins the sidecar: key, input_hash, settings, synthetic.

    Raises
    ------
    PrepareError
        Where ``extra`` has a key that the sidecar holds already.
    """
    record = {
        "mask_source": prepared.mask_source,
        "overlap": prepared.overlap,
        "scan_to_reference": prepared.scan_to_reference.tolist(),
        "times": prepared.times,
        "versions": {"fontanelle": core.__version__, **{name: version(name) for name in _PACKAGES}},
    }
    clash = sorted(set(record) & set(extra))
    if clash:
        raise PrepareError(f"sidecar: {', '.join(clash)} given twice; expected other keys in extra")
    whole = np.array_equal(prepared.scan.data, np.rint(prepared.scan.data))
    short = whole and np.abs(prepared.scan.data).max() <= np.iinfo(np.int16).max
    sidecar = paths.prepared_json(cube)
    sidecar.unlink(missing_ok=True)  # until all is written anew, nothing claims to be whole
    save_volume(prepared.scan, paths.acquired, np.int16 if short else np.float32)
    save_volume(prepared.mask, paths.mask, np.uint8)
    save_volume(prepared.cube, paths.prepared(cube))
    save_volume(prepared.cube_mask, paths.prepared_mask(cube), np.uint8)
    write_bytes(paths.qc(cube), prepared.qc)
    write_bytes(sidecar, (json.dumps(record | extra, indent=1, sort_keys=True) + "\n").encode())


def read_prepared(paths: CasePaths, cube: int, channels: tuple[str, ...] = ONE_CHANNEL) -> Prepared:
    """Read what ``write_prepared`` wrote; the cube and its transform are those of the run, bit for bit.

    Of ``channels`` those beyond the T2w are what ``core.prepared`` has written beside it.

    Raises
    ------
    PrepareError
        Where a file is missing or can't be read.
    """
    sidecar = paths.prepared_json(cube)
    try:
        record = json.loads(sidecar.read_text())
        scan = load_volume(paths.acquired)
        prepared_cube = load_volume(paths.prepared(cube))
        return Prepared(
            scan=scan,
            mask=load_mask(paths.mask, scan),
            cube=prepared_cube,
            cube_mask=load_mask(paths.prepared_mask(cube), prepared_cube),
            scan_to_reference=np.array(record["scan_to_reference"], dtype=np.float64).reshape(4, 4),
            mask_source=record["mask_source"],
            overlap=float(record["overlap"]),
            times=dict(record["times"]),
            qc=paths.qc(cube).read_bytes(),
            extra=tuple(load_volume(paths.prepared(cube, channel)) for channel in channels[1:]),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PrepareError(f"{sidecar.name}: {error}; expected a whole preparation, prepare again") from error


@contextmanager
def _timed(times: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[step] = round(time.perf_counter() - start, 3)


def _cropped(affine: np.ndarray, box: tuple[slice, slice, slice]) -> np.ndarray:
    """(4, 4) of the grid that starts at the corner of ``box``."""
    moved = affine.copy()
    moved[:3, 3] = affine[:3] @ [*(axis.start for axis in box), 1.0]
    return moved


def _fit(scan: Volume, found: np.ndarray, reference: Reference) -> float:
    """Overlap of a candidate brain mask with the reference's, 0 where it can't be registered."""
    box = bounding_box(found, int(np.ceil(_MARGIN_MM / scan.spacing.min())))
    affine = _cropped(scan.affine, box)
    try:
        moved = register(scan.data[box], found[box], affine, reference)
    except PrepareError:
        return 0.0
    return overlap(found[box], affine, moved, reference)
