"""The overlay beyond the paper: what a restoration and the non-local residual both find odd, as one z.

Two views of a scan that fail in different places: a network that restores it (whole anatomy, wide view) and
the most similar patches of normals (no training, narrow view). Each is divided by its 99.5th percentile in
held-out normals, their power mean is taken, and its tail matched to that of the normal distribution. Without
a network the normative z of the log intensity stands in for the restoration.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.anomaly.fusion import Tail, fit_tail, map_scale, power_mean, tail_z
from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.library import Library, build_library, coarse, fine, grid_factor, nonlocal_residual
from core.anomaly.normative import Normative, fit_once
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask, normative_z, smooth_inside
from core.io.atomic import write_bytes

SMOOTH_MM = 2.0  # σ of both maps before they are joined
POWER = 1.0  # of the mean; calibration chooses it on implanted lesions
FORMAT = 1
MOST_NORMALS = 16  # in the library: more of them find more alike in a lesion, and cost 0.1 s each at 64³
Picked = TypeVar("Picked")


@dataclass(frozen=True, eq=False)
class Detector:
    """What ``score`` needs of normals.

    ``shape``, ``voxel_mm``: of the scans. ``nonlocal_map``: mean and SD of normals' non-local residuals, each
    left out of the library that it was matched to. ``log_map``: mean and SD of their log intensity; None
    where a restoration is the second view. ``power``, ``scales``, ``tail``: how the two are joined, and what
    the joined map is in held-out normals.
    """

    shape: tuple[int, int, int]
    voxel_mm: float
    smooth_mm: float
    library: Library
    nonlocal_map: Normative
    log_map: Normative | None
    power: float
    scales: tuple[float, float]
    tail: Tail


@dataclass(frozen=True, eq=False)
class NormalScan:
    """A normal to fit on: x (X, Y, Z), its mask, and its restoration where there is a network."""

    x: Array
    mask: Mask
    x_hat: Array | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """Two signed maps (X, Y, Z) of one scan, 0 outside ``mask``; each in units of its own."""

    nonlocal_z: Array
    second: Array
    mask: Mask


def _views(
    nonlocal_z: Array, scan: NormalScan, log_map: Normative | None, voxel_mm: float, smooth_mm: float
) -> Views:
    factor = grid_factor(voxel_mm)
    if factor > 1:
        nonlocal_z = smooth_inside(fine(nonlocal_z, factor, scan.x.shape), scan.mask, factor / 2)
    if log_map is not None:
        return Views(nonlocal_z, normative_z(log_intensity(scan.x, scan.mask), log_map, scan.mask), scan.mask)
    if scan.x_hat is None:
        raise AnomalyError("no restoration of the scan; the detector was fitted with one")
    difference = log_residual(scan.x, scan.x_hat, scan.mask)
    return Views(nonlocal_z, smooth_inside(difference, scan.mask, smooth_mm / voxel_mm), scan.mask)


def scales_of(views: Sequence[Views]) -> tuple[float, float]:
    """99.5th percentile of the size of both maps in normals."""
    return map_scale([one.nonlocal_z[one.mask] for one in views]), map_scale(
        [one.second[one.mask] for one in views]
    )


def join(views: Views, scales: tuple[float, float], power: float) -> Array:
    """Both maps, each over its scale, as one (X, Y, Z); not yet a z."""
    return power_mean(views.nonlocal_z / np.float32(scales[0]), views.second / np.float32(scales[1]), power)


def without(values: Sequence[Any], index: int) -> list[Any]:
    """All but one of them."""
    return [value for other, value in enumerate(values) if other != index]


def matched(detector: Detector, views: Sequence[Views], power: float) -> tuple[Detector, list[Array]]:
    """The detector with another ``power``, scales and tail from the left-out ``views`` of held-out normals.

    Also each normal's z, by the tail of the others.
    """
    scales = scales_of(views)
    joined = [join(one, scales, power) for one in views]
    values = [one[view.mask] for one, view in zip(joined, views, strict=True)]
    left_out = [tail_z(one, fit_tail(without(values, index))) for index, one in enumerate(joined)]
    return replace(detector, power=power, scales=scales, tail=fit_tail(values)), left_out


def _check(normals: Sequence[NormalScan], more: Sequence[NormalScan]) -> None:
    if len(normals) < 3:
        raise AnomalyError(f"{len(normals)} held-out normals; expected 3 or more")
    if other := [scan.x.shape for scan in [*normals, *more] if scan.x.shape != normals[0].x.shape]:
        raise AnomalyError(f"normals of shapes {normals[0].x.shape} and {other[0]}; expected one grid")
    if len({scan.x_hat is None for scan in normals}) > 1:
        raise AnomalyError("some normals have a restoration and some not; expected all or none")


def picks(count: int, more: Sequence[Picked]) -> list[Picked]:
    """Those of ``more`` that fill a library of 16 beside ``count`` held-out normals, evenly spaced."""
    room = min(max(0, MOST_NORMALS - count), len(more))
    return [more[index] for index in np.linspace(0, len(more) - 1, room).round().astype(int)]


def _halved(model: Normative) -> Normative:
    """Mean and SD as a file keeps them, so that a detector gives the same z before and after."""
    mean, sd = (values.astype(np.float16).astype(np.float32) for values in (model.mean, model.sd))
    return replace(model, mean=mean, sd=sd)


def fit_detector(
    normals: Sequence[NormalScan],
    voxel_mm: float,
    more: Sequence[NormalScan] = (),
    power: float = POWER,
    smooth_mm: float = SMOOTH_MM,
    progress: Callable[[float], None] = lambda fraction: None,
) -> tuple[Detector, list[Views]]:
    """Fit on held-out ``normals``; ``more``, say the network's training scans, enlarge the library.

    Returned with the detector, in the order of ``normals``: the two maps of each, which know it neither in
    the library nor in mean and SD. ``matched`` makes z of them. From ``more`` as many are taken, evenly, as
    make a library of 16. ``power``: see ``power_mean``. ``progress`` hears 0 to 1.

    Raises
    ------
    AnomalyError
        On fewer than 3 normals, unequal shapes, empty masks, or restorations of some only.
    """
    _check(normals, more)
    factor = grid_factor(voxel_mm)
    everyone = [*normals, *picks(len(normals), more)]
    logs, masks = [], []
    for scan in everyone:
        inside = check_mask(scan.x, scan.mask, "normal")
        log, small = coarse(log_intensity(scan.x, inside), inside, factor)
        logs.append(log)
        masks.append(small)
    library = build_library(logs, masks)
    residuals, known = [], []
    for index, (log, small) in enumerate(zip(logs, masks, strict=True)):
        progress(index / len(logs))
        residual, where = nonlocal_residual(log, small, library, index)
        residuals.append(residual)
        known.append(where)
    coarse_mm = voxel_mm * factor
    log_map, full, inside_of = None, [], []
    if normals[0].x_hat is None:
        full = [log_intensity(scan.x, scan.mask) for scan in everyone]
        inside_of = [scan.mask for scan in everyone]
        log_map = fit_once(full, inside_of, voxel_mm, smooth_mm)
    views = []
    for index, scan in enumerate(normals):
        own = fit_once(without(residuals, index), without(known, index), coarse_mm, smooth_mm)
        second = log_map
        if log_map is not None:
            second = fit_once(without(full, index), without(inside_of, index), voxel_mm, smooth_mm)
        z = normative_z(residuals[index], own, known[index])
        views.append(_views(z, scan, second, voxel_mm, smooth_mm))
    scales = scales_of(views)
    detector = Detector(
        shape=normals[0].x.shape,
        voxel_mm=voxel_mm,
        smooth_mm=smooth_mm,
        library=library,
        nonlocal_map=_halved(fit_once(residuals, known, coarse_mm, smooth_mm)),
        log_map=None if log_map is None else _halved(log_map),
        power=power,
        scales=scales,
        tail=fit_tail([join(one, scales, power)[one.mask] for one in views]),
    )
    progress(1.0)
    return detector, views


def views_of(
    detector: Detector,
    x: Array,
    mask: NDArray[np.generic],
    x_hat: Array | None = None,
    leave_out: int | None = None,
) -> Views:
    """The two maps of a scan; ``leave_out``: the normal of the library that it is made from.

    Raises
    ------
    AnomalyError
        On another shape than the normals', an empty mask, or a missing restoration.
    """
    if x.shape != detector.shape:
        raise AnomalyError(f"scan has shape {x.shape}, the detector {detector.shape}; expected the same")
    inside = check_mask(x, mask, "scan")
    log, small = coarse(log_intensity(x, inside), inside, grid_factor(detector.voxel_mm))
    residual, known = nonlocal_residual(log, small, detector.library, leave_out)
    z = normative_z(residual, detector.nonlocal_map, known)
    scan = NormalScan(x, inside, x_hat)
    return _views(z, scan, detector.log_map, detector.voxel_mm, detector.smooth_mm)


def score(detector: Detector, x: Array, mask: NDArray[np.generic], x_hat: Array | None = None) -> Array:
    """Signed z (X, Y, Z) of a scan, 0 outside ``mask``.

    ``x``: intensities of any scale, positive; ``x_hat``: its restoration, where the detector was fitted with
    restorations.

    Raises
    ------
    AnomalyError
        As ``views_of``.
    """
    views = views_of(detector, x, mask, x_hat)
    return tail_z(join(views, detector.scales, detector.power), detector.tail)


def _packed(name: str, model: Normative) -> dict[str, NDArray[np.generic]]:
    known = model.sd > 0
    return {
        f"{name}.shape": np.array(model.sd.shape),
        f"{name}.known": np.packbits(known),
        f"{name}.mean": model.mean[known].astype(np.float16),
        f"{name}.sd": model.sd[known].astype(np.float16),
        f"{name}.n": np.array(model.n),
        f"{name}.voxel_mm": np.array(model.voxel_mm),
    }


def _bits(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    return np.unpackbits(packed, count=int(np.prod(shape))).astype(bool).reshape(shape)


def _unpacked(name: str, arrays: dict[str, NDArray[Any]], smooth_mm: float) -> Normative:
    shape = tuple(int(n) for n in arrays[f"{name}.shape"])
    known = _bits(arrays[f"{name}.known"], shape)
    mean, sd = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    mean[known], sd[known] = arrays[f"{name}.mean"], arrays[f"{name}.sd"]
    return Normative(mean, sd, int(arrays[f"{name}.n"]), float(arrays[f"{name}.voxel_mm"]), smooth_mm)


def save_detector(detector: Detector, path: Path) -> None:
    """Write .npz, atomically; at 64³ some 1.5 MB with 16 normals."""
    library, tail = detector.library, detector.tail
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "shape": np.array(detector.shape),
        "voxel_mm": np.array(detector.voxel_mm),
        "smooth_mm": np.array(detector.smooth_mm),
        "power": np.array(detector.power),
        "scales": np.array(detector.scales),
        "library.shape": np.array(library.support.shape),
        "library.support": np.packbits(library.support),
        "library.values": library.values,
        "tail.values": tail.values,
        "tail.shares": tail.shares,
        "tail.scale": np.array(tail.scale),
        "tail.shape": np.array(tail.shape),
        **_packed("nonlocal", detector.nonlocal_map),
        **({} if detector.log_map is None else _packed("log", detector.log_map)),
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())


def load_detector(path: Path) -> Detector:
    """Read .npz; nothing is unpickled.

    Raises
    ------
    AnomalyError
        Where the file is missing, no .npz, of another format, or inconsistent.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if int(arrays["format"]) != FORMAT:
            raise AnomalyError(f"{path.name}: format {arrays['format']}, expected {FORMAT}; calibrate again")
        smooth_mm = float(arrays["smooth_mm"])
        support = _bits(arrays["library.support"], tuple(int(n) for n in arrays["library.shape"]))
        values = arrays["library.values"]
        if values.ndim != 2 or values.shape[1] != int(support.sum()):
            raise AnomalyError(
                f"{path.name}: library of shape {values.shape}, {int(support.sum())} voxels; calibrate again"
            )
        first, second, third = (int(n) for n in arrays["shape"])
        return Detector(
            shape=(first, second, third),
            voxel_mm=float(arrays["voxel_mm"]),
            smooth_mm=smooth_mm,
            library=Library(values, support),
            nonlocal_map=_unpacked("nonlocal", arrays, smooth_mm),
            log_map=_unpacked("log", arrays, smooth_mm) if "log.mean" in arrays else None,
            power=float(arrays["power"]),
            scales=(float(arrays["scales"][0]), float(arrays["scales"][1])),
            tail=Tail(
                arrays["tail.values"],
                arrays["tail.shares"],
                float(arrays["tail.scale"]),
                float(arrays["tail.shape"]),
            ),
        )
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as error:
        if isinstance(error, AnomalyError):
            raise
        raise AnomalyError(f"{path.name}: {error}; expected a detector as `calibrate` writes it") from error
