"""The overlay beyond the paper: what several views of a scan find odd, joined into one z.

Views that fail in different places: a network that restores the scan (whole anatomy, wide view), the most
similar patches of normals (no training, narrow view), and normals deformed to lie upon it (``deformed``;
optional). Each is divided by its 99.5th percentile in held-out normals, their power mean is taken, and its
tail matched to that of the normal distribution. Without a network the normative z of the log intensity stands
in for the restoration. What all are too coarse to see is left to one more, the local contrast of the scan
near 1 mm: where it is rarer in normals, its z counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.anomaly.deformed import DeformedFit, DeformedView, deform_factor, deformed_z
from core.anomaly.fusion import Tail, fit_tail, rarer, tail_z
from core.anomaly.intensity import log_intensity
from core.anomaly.library import (
    Library,
    build_library,
    coarse,
    fine_inside,
    grid_factor,
    nonlocal_residual,
    picks,
    without,
)
from core.anomaly.normative import Normative, fit_once, halved
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask, normative_z
from core.anomaly.views import NormalScan, Views, contrast_z, join, make_views, scales_of

SMOOTH_MM = 2.0  # σ of both maps before they are joined
POWER = 1.0  # of the mean; calibration chooses it on implanted lesions
NO_TAIL = Tail(np.zeros(1), np.ones(1), 1.0, 0.0)  # not fitted yet


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
    where a restoration is the second view. ``power``, ``scales``: how the views are joined. ``tail``: of the
    joined map in held-out normals; with ``fine`` that of the larger of two z, the joined map's and that of
    local contrast. ``deformed``: the third of the joined views, or None.
    """

    shape: tuple[int, int, int]
    voxel_mm: float
    smooth_mm: float
    library: Library
    nonlocal_map: Normative
    log_map: Normative | None
    power: float
    scales: tuple[float, ...]
    tail: Tail
    fine: FineView | None = None
    deformed: DeformedView | None = None


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


def fit_detector(
    normals: Sequence[NormalScan],
    voxel_mm: float,
    more: Sequence[NormalScan] = (),
    power: float = POWER,
    smooth_mm: float = SMOOTH_MM,
    progress: Callable[[float], None] = lambda fraction: None,
    contrasts: Sequence[tuple[Array, Mask]] = (),
    deformed: DeformedFit | None = None,
) -> tuple[Detector, list[Views]]:
    """Fit on held-out ``normals``; ``more``, say the network's training scans, enlarge the library.

    Returned with the detector, in the order of ``normals``: the maps of each, which know it neither in
    the library nor in mean and SD. ``matched`` makes z of them. From ``more`` as many are taken, evenly, as
    make a library of 16. ``power``: see ``power_mean``. ``progress`` hears 0 to 1. ``contrasts``: local
    contrast of any other normals with their masks, both on the library's grid. ``deformed``: of
    ``fit_deformed`` with the same held-out normals.

    Raises
    ------
    AnomalyError
        On fewer than 3 normals, unequal shapes, empty masks, restorations of some only, or a ``deformed`` of
        other normals.
    """
    _check(normals, more)
    if deformed is not None and len(deformed.z) != len(normals):
        raise AnomalyError(f"{len(deformed.z)} deformed normals of {len(normals)}; expected the same")
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
        views.append(make_views(z, scan, second, voxel_mm, smooth_mm))
    if deformed is not None:
        views = [
            replace(view, deformed_z=fine_inside(z, deform_factor(voxel_mm), view.mask))
            for view, z in zip(views, deformed.z, strict=True)
        ]
    detector = Detector(
        shape=normals[0].x.shape,
        voxel_mm=voxel_mm,
        smooth_mm=smooth_mm,
        library=library,
        nonlocal_map=halved(fit_once(residuals, known, coarse_mm, smooth_mm)),
        log_map=None if log_map is None else halved(log_map),
        power=power,
        scales=scales_of(views),
        tail=NO_TAIL,
        deformed=None if deformed is None else deformed.view,
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
    model = halved(fit_once(values, masks, grid_mm, 0.0))
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
        On another shape than the normals', an empty mask, a missing restoration or local contrast, or a scan
        that can't be deformed.
    """
    if x.shape != detector.shape:
        raise AnomalyError(f"scan has shape {x.shape}, the detector {detector.shape}; expected the same")
    inside = check_mask(x, mask, "scan")
    log, small = coarse(log_intensity(x, inside), inside, grid_factor(detector.voxel_mm))
    residual, known = nonlocal_residual(log, small, detector.library, leave_out)
    z = normative_z(residual, detector.nonlocal_map, known)
    scan = NormalScan(x, inside, x_hat)
    views = make_views(z, scan, detector.log_map, detector.voxel_mm, detector.smooth_mm)
    if detector.deformed is not None:
        there = deformed_z(detector.deformed, x, inside, detector.voxel_mm, detector.smooth_mm)
        views = replace(views, deformed_z=there)
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
