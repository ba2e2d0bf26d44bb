"""The overlay beyond the paper: what a restoration and the non-local residual both find odd, as one z.

Two views of a scan that fail in different places: a network that restores it (whole anatomy, wide view) and
the most similar patches of normals (no training, narrow view). Each is divided by its 99.5th percentile in
held-out normals, their power mean is taken, and its tail matched to that of the normal distribution. Without
a network the normative z of the log intensity stands in for the restoration. What both are too coarse to see
is left to a third, the local contrast of the scan near 1 mm: where it is rarer in normals, its z counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.anomaly.fusion import Tail, fit_tail, map_scale, power_mean, tail_z
from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.library import Library, build_library, coarse, fine, grid_factor, nonlocal_residual
from core.anomaly.normative import Normative, fit_once
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask, normative_z, smooth_inside

SMOOTH_MM = 2.0  # σ of both maps before they are joined
POWER = 1.0  # of the mean; calibration chooses it on implanted lesions
MOST_NORMALS = 16  # in the library: more of them find more alike in a lesion, and cost 0.1 s each at 64³
NO_TAIL = Tail(np.zeros(1), np.ones(1), 1.0, 0.0)  # not fitted yet
Picked = TypeVar("Picked")


@dataclass(frozen=True, eq=False)
class FineView:
    """Local contrast in normals, and the tails by which it and the joined map become z of their own."""

    contrast_map: Normative
    tail: Tail
    joined_tail: Tail


@dataclass(frozen=True, eq=False)
class Detector:
    """What ``score`` needs of normals.

    ``shape``, ``voxel_mm``: of the scans. ``nonlocal_map``: mean and SD of normals' non-local residuals, each
    left out of the library that it was matched to. ``log_map``: mean and SD of their log intensity; None
    where a restoration is the second view. ``power``, ``scales``: how the two are joined. ``tail``: of the
    joined map in held-out normals; with ``fine`` that of the larger of two z, the joined map's and that of
    local contrast.
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
    fine: FineView | None = None


@dataclass(frozen=True, eq=False)
class NormalScan:
    """A normal to fit on: x (X, Y, Z), its mask, and its restoration where there is a network.

    ``contrast``: ``contrast.contrast_map`` on the library's grid, where the scan was read near 1 mm.
    """

    x: Array
    mask: Mask
    x_hat: Array | None = None
    contrast: Array | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """Signed maps (X, Y, Z) of one scan, 0 outside ``mask``; each in units of its own.

    ``contrast_z``: normative z of local contrast, where it is known.
    """

    nonlocal_z: Array
    second: Array
    mask: Mask
    contrast_z: Array | None = None


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


def contrast_z(contrast: Array | None, small: Mask, model: Normative, mask: Mask, voxel_mm: float) -> Array:
    """Normative z (X, Y, Z) of a scan's local contrast, which lies on the library's grid like ``small``.

    Raises
    ------
    AnomalyError
        Where the scan's contrast is missing, or lies on another grid.
    """
    if contrast is None:
        raise AnomalyError("no local contrast of the scan; the detector was fitted with it")
    if contrast.shape != small.shape:
        raise AnomalyError(f"local contrast has shape {contrast.shape}; expected {small.shape}")
    z = fine(normative_z(contrast, model, small), grid_factor(voxel_mm), mask.shape)
    return np.asarray(np.where(mask, z, 0), np.float32)


def scales_of(views: Sequence[Views]) -> tuple[float, float]:
    """99.5th percentile of the size of both maps in normals."""
    return map_scale([one.nonlocal_z[one.mask] for one in views]), map_scale(
        [one.second[one.mask] for one in views]
    )


def join(views: Views, scales: tuple[float, float], power: float) -> Array:
    """Both maps, each over its scale, as one (X, Y, Z); not yet a z."""
    pair = (views.nonlocal_z / np.float32(scales[0]), views.second / np.float32(scales[1]))
    return power_mean(pair, power)


def without(values: Sequence[Any], index: int) -> list[Any]:
    """All but one of them."""
    return [value for other, value in enumerate(values) if other != index]


def rarer(joined: Array, contrast: Array, tails: tuple[Tail, Tail]) -> Array:
    """Of two maps (X, Y, Z), each as z by its own tail, at each voxel the larger z."""
    first, second = tail_z(joined, tails[0]), tail_z(contrast, tails[1])
    return np.where(np.abs(first) >= np.abs(second), first, second)


def _brains(maps: Sequence[Array], views: Sequence[Views], left_out: int | None = None) -> list[Array]:
    """Brain voxels of all normals' maps, less one's."""
    pairs = enumerate(zip(maps, views, strict=True))
    return [values[view.mask] for index, (values, view) in pairs if index != left_out]


@dataclass(frozen=True, eq=False)
class _Joined:
    """The normals' maps at one power: of all views at 2 mm, of local contrast, and what ``tail_z`` is of."""

    maps: list[Array]
    contrasts: list[Array]
    combined: list[Array]


def _with_power(detector: Detector, views: Sequence[Views], power: float) -> tuple[Detector, _Joined]:
    """The detector with another ``power``, scales and tails from the left-out ``views``; the views joined."""
    scales = scales_of(views)
    joined = [join(one, scales, power) for one in views]
    fine_view, contrasts, combined = detector.fine, [], joined
    if fine_view is not None:
        contrasts = [one.contrast_z for one in views if one.contrast_z is not None]
        tails = fit_tail(_brains(joined, views)), fit_tail(_brains(contrasts, views))
        fine_view = replace(fine_view, joined_tail=tails[0], tail=tails[1])
        combined = [rarer(a, b, tails) for a, b in zip(joined, contrasts, strict=True)]
    tail = fit_tail(_brains(combined, views))
    fitted = replace(detector, power=power, scales=scales, tail=tail, fine=fine_view)
    return fitted, _Joined(joined, contrasts, combined)


def matched(detector: Detector, views: Sequence[Views], power: float) -> tuple[Detector, list[Array]]:
    """The detector with another ``power``, scales and tails from the left-out ``views`` of held-out normals.

    Also each normal's z, by the tails of the others.
    """
    fitted, joined = _with_power(detector, views, power)
    found = []
    for index, own in enumerate(joined.maps):
        if fitted.fine is not None:
            tails = [fit_tail(_brains(maps, views, index)) for maps in (joined.maps, joined.contrasts)]
            own = rarer(own, joined.contrasts[index], (tails[0], tails[1]))
        found.append(tail_z(own, fit_tail(_brains(joined.combined, views, index))))
    return fitted, found


def z_of(detector: Detector, views: Views) -> Array:
    """Signed z (X, Y, Z) of a scan's maps, 0 outside its mask."""
    joined = join(views, detector.scales, detector.power)
    if detector.fine is not None and views.contrast_z is not None:
        tails = detector.fine.joined_tail, detector.fine.tail
        joined = rarer(joined, views.contrast_z, tails)
    return tail_z(joined, detector.tail)


def _check(normals: Sequence[NormalScan], more: Sequence[NormalScan]) -> None:
    if len(normals) < 3:
        raise AnomalyError(f"{len(normals)} held-out normals; expected 3 or more")
    if other := [scan.x.shape for scan in [*normals, *more] if scan.x.shape != normals[0].x.shape]:
        raise AnomalyError(f"normals of shapes {normals[0].x.shape} and {other[0]}; expected one grid")
    if len({scan.x_hat is None for scan in normals}) > 1:
        raise AnomalyError("some normals have a restoration and some not; expected all or none")
    if len({scan.contrast is None for scan in normals}) > 1:
        raise AnomalyError("some normals have a local contrast and some not; expected all or none")


def picks(count: int, more: Sequence[Picked]) -> list[Picked]:
    """Those of ``more`` that fill a library of 16 beside ``count`` held-out normals, evenly spaced."""
    return spread_over(more, max(0, MOST_NORMALS - count))


def spread_over(values: Sequence[Picked], most: int) -> list[Picked]:
    """At most ``most`` of them, evenly spaced."""
    room = min(most, len(values))
    return [values[index] for index in np.linspace(0, len(values) - 1, room).round().astype(int)]


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
    contrasts: Sequence[tuple[Array, Mask]] = (),
) -> tuple[Detector, list[Views]]:
    """Fit on held-out ``normals``; ``more``, say the network's training scans, enlarge the library.

    Returned with the detector, in the order of ``normals``: the two maps of each, which know it neither in
    the library nor in mean and SD. ``matched`` makes z of them. From ``more`` as many are taken, evenly, as
    make a library of 16. ``power``: see ``power_mean``. ``progress`` hears 0 to 1. ``contrasts``: local
    contrast of any other normals with their masks, both on the library's grid.

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
    detector = Detector(
        shape=normals[0].x.shape,
        voxel_mm=voxel_mm,
        smooth_mm=smooth_mm,
        library=library,
        nonlocal_map=_halved(fit_once(residuals, known, coarse_mm, smooth_mm)),
        log_map=None if log_map is None else _halved(log_map),
        power=power,
        scales=scales_of(views),
        tail=NO_TAIL,
    )
    if normals[0].contrast is not None:
        mine = [(scan.contrast, small) for scan, small in zip(normals, masks[: len(normals)], strict=True)]
        detector, views = _with_contrast(detector, views, mine, contrasts)
    progress(1.0)
    return _with_power(detector, views, power)[0], views


def _with_contrast(
    detector: Detector,
    views: Sequence[Views],
    mine: Sequence[tuple[Array | None, Mask]],
    others: Sequence[tuple[Array, Mask]],
) -> tuple[Detector, list[Views]]:
    """Detector and normals' views with local contrast, each normal left out of its own mean and SD."""
    everyone = [*((contrast, small) for contrast, small in mine if contrast is not None), *others]
    values, masks = [one for one, _ in everyone], [one for _, one in everyone]
    grid_mm = detector.voxel_mm * grid_factor(detector.voxel_mm)
    found = []
    for index, (view, (contrast, small)) in enumerate(zip(views, mine, strict=True)):
        own = fit_once(without(values, index), without(masks, index), grid_mm, 0.0)
        found.append(replace(view, contrast_z=contrast_z(contrast, small, own, view.mask, detector.voxel_mm)))
    model = _halved(fit_once(values, masks, grid_mm, 0.0))
    return replace(detector, fine=FineView(model, NO_TAIL, NO_TAIL)), found


def views_of(
    detector: Detector,
    x: Array,
    mask: NDArray[np.generic],
    x_hat: Array | None = None,
    leave_out: int | None = None,
    contrast: Array | None = None,
) -> Views:
    """The maps of a scan; ``leave_out``: the normal of the library that it is made from.

    Raises
    ------
    AnomalyError
        On another shape than the normals', an empty mask, or a missing restoration or local contrast.
    """
    if x.shape != detector.shape:
        raise AnomalyError(f"scan has shape {x.shape}, the detector {detector.shape}; expected the same")
    inside = check_mask(x, mask, "scan")
    log, small = coarse(log_intensity(x, inside), inside, grid_factor(detector.voxel_mm))
    residual, known = nonlocal_residual(log, small, detector.library, leave_out)
    z = normative_z(residual, detector.nonlocal_map, known)
    scan = NormalScan(x, inside, x_hat)
    views = _views(z, scan, detector.log_map, detector.voxel_mm, detector.smooth_mm)
    if detector.fine is None:
        return views
    model = detector.fine.contrast_map
    return replace(views, contrast_z=contrast_z(contrast, small, model, inside, detector.voxel_mm))


def score(
    detector: Detector,
    x: Array,
    mask: NDArray[np.generic],
    x_hat: Array | None = None,
    contrast: Array | None = None,
) -> Array:
    """Signed z (X, Y, Z) of a scan, 0 outside ``mask``.

    ``x``: intensities of any scale, positive; ``x_hat``, ``contrast``: its restoration and local contrast,
    where the detector was fitted with them.

    Raises
    ------
    AnomalyError
        As ``views_of``.
    """
    return z_of(detector, views_of(detector, x, mask, x_hat, contrast=contrast))
