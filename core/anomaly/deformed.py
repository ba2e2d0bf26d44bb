"""A scan deformed onto the normals' mean, against mean and SD of normals deformed so too, and sent back.

Voxel by voxel normals agree only where their folds do. Deformable registration (``core.preprocess.deform``)
lets anatomy shift by more than patches of normals may; what a lesion moves with it is lost here, and left to
the other views. After the deformation to a template and back in Avants et al. 2008 (``core.io.itk``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np

from core.anomaly.intensity import LOG_RANGE, log_intensity
from core.anomaly.library import Library, build_library, coarse, fine_inside, without
from core.anomaly.normative import Normative, fit_once, halved
from core.anomaly.residual import AnomalyError, Array, Mask, check_mask, normative_z, smooth_inside
from core.preprocess.deform import Deformation, deform, warp, warp_inside
from core.preprocess.errors import PrepareError

GRID_MM = 2.0  # finer scans are brought near this before they are deformed
MOST_NORMALS = 40  # deformed to fit on; a second or two each
ENOUGH = 15  # of other normals, for held-out normals to stay out of the fit
Small = tuple[Array, Mask]  # log intensity (X, Y, Z) near ``GRID_MM`` a voxel, and its mask


@dataclass(frozen=True, eq=False)
class DeformedView:
    """What normals are once they are deformed onto their mean.

    ``template`` (X, Y, Z): their mean log intensity before that, near ``GRID_MM`` a voxel; ``inside``: where
    half of them have brain. ``model``: mean and SD of their log intensity after it.
    """

    template: Array
    inside: Mask
    model: Normative


@dataclass(frozen=True, eq=False)
class DeformedFit:
    """The view, and for each held-out normal the view that does not know it and its z by that.

    ``z``: (X, Y, Z) on the small grid, as ``deformed_maps`` gives it.
    """

    view: DeformedView
    left_out: Sequence[DeformedView]
    z: Sequence[Array]


def deform_factor(voxel_mm: float) -> int:
    """Voxels of the scan to one of the grid it is deformed on, along each axis: 1 at 2 mm, 4 at 0.5 mm."""
    return max(1, round(GRID_MM / voxel_mm))


def small_log(x: Array, mask: Mask, voxel_mm: float) -> Small:
    """Log intensity of a scan x (X, Y, Z) on the grid that it is deformed on.

    Raises
    ------
    AnomalyError
        On another shape, an empty mask, or a brain whose median is not positive.
    """
    inside = check_mask(x, mask, "scan")
    return coarse(log_intensity(x, inside), inside, deform_factor(voxel_mm))


def visible(log: Array, mask: Mask) -> Array:
    """Log intensity as registration needs it: positive in the brain, 0 outside."""
    return np.where(mask, log - np.float32(LOG_RANGE[0] - 0.1), 0).astype(np.float32)


def deformations(
    template: Array, inside: Mask, scans: Iterable[Array], affine: np.ndarray, jobs: int
) -> Iterator[Deformation]:
    """Of each scan to the template, in order; ``jobs`` processes, since ITK holds Python's lock."""
    task = partial(deform, template, inside, affine=affine)
    if jobs == 1:
        yield from map(task, scans)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(task, scans)


def _onto(
    template: Array, inside: Mask, smalls: Sequence[Small], mm: float, jobs: int
) -> Iterator[Deformation]:
    """``deformations`` of log intensities to that of a template.

    Raises
    ------
    AnomalyError
        Naming the scan that can't be deformed.
    """
    affine = np.diag([mm, mm, mm, 1.0])
    scans = [visible(log, mask) for log, mask in smalls]
    made = deformations(visible(template, inside), inside, scans, affine, jobs)
    for number in range(1, len(scans) + 1):
        try:
            yield next(made)
        except PrepareError as error:
            which = "the scan" if len(scans) == 1 else f"scan {number} of {len(scans)}"
            raise AnomalyError(f"{which} can't be deformed onto the normals' mean: {error}") from error


def _back(small: Small, found: Deformation, model: Normative, smooth_mm: float) -> Array:
    """z of a scan where it was deformed to, sent back and smoothed; 0 outside its mask."""
    log, mask = small
    there, covered = warp_inside(log, mask, found.pull)
    z = warp(normative_z(there, model, covered), found.push)
    return smooth_inside(z, mask, smooth_mm / model.voxel_mm)


def deformed_maps(
    views: Sequence[DeformedView], smalls: Sequence[Small], smooth_mm: float, jobs: int = 1
) -> Iterator[Array]:
    """Signed z (X, Y, Z) of scans by one view each, smoothed by σ ``smooth_mm``; all of one template.

    Raises
    ------
    AnomalyError
        Where a scan lies on another grid than the view, or ANTs fails.
    """
    if not smalls:
        return
    first = views[0]
    if other := [log.shape for log, _ in smalls if log.shape != first.template.shape]:
        raise AnomalyError(
            f"scan has shape {other[0]} where it is deformed, the normals' mean {first.template.shape}; "
            "expected the same"
        )
    made = _onto(first.template, first.inside, smalls, first.model.voxel_mm, jobs)
    for small, view, found in zip(smalls, views, made, strict=True):
        yield _back(small, found, view.model, smooth_mm)


def deformed_z(view: DeformedView, x: Array, mask: Mask, voxel_mm: float, smooth_mm: float) -> Array:
    """Signed z (X, Y, Z) of a scan by the view, on the scan's own grid, 0 outside ``mask``.

    Raises
    ------
    AnomalyError
        As ``small_log`` and ``deformed_maps``.
    """
    z = next(deformed_maps([view], [small_log(x, mask, voxel_mm)], smooth_mm))
    return fine_inside(z, deform_factor(voxel_mm), mask)


def as_library(view: DeformedView) -> Library:
    """Template and mean in a byte a voxel, as a file keeps them: 0.008 of log intensity apart."""
    return build_library([view.template, view.model.mean], [view.inside, view.model.sd > 0])


def from_library(library: Library, model: Normative) -> DeformedView:
    """The view of ``as_library``; ``model`` has the SD."""
    (template, inside), (mean, _) = library.normal(0), library.normal(1)
    return DeformedView(template, inside, replace(model, mean=mean))


def rounded(view: DeformedView) -> DeformedView:
    """As a file keeps it, so that a detector gives the same z before and after."""
    return from_library(as_library(view), halved(view.model))


def fit_deformed(
    held_out: Sequence[Small],
    others: Sequence[Small],
    voxel_mm: float,
    smooth_mm: float,
    jobs: int = 1,
    progress: Callable[[float], None] = lambda fraction: None,
) -> DeformedFit:
    """Fit on ``others``, 15 or more, so that no held-out normal is known; with fewer on all normals.

    Each held-out normal is then left out of its own mean and SD; it stays in the template, which knows no
    more of it than a blurred mean. ``held_out``, ``others``: of ``small_log``; ``voxel_mm``: of the scans
    that they come from. ``progress`` hears 0 to 1.

    Raises
    ------
    AnomalyError
        On fewer than 3 normals to fit on, no brain that half of them share, or where ANTs fails.
    """
    known = len(others) < ENOUGH
    fitted = [*held_out, *others] if known else list(others)
    if len(fitted) < 3:
        raise AnomalyError(f"{len(fitted)} normals to deform onto their mean; expected 3 or more")
    mm = voxel_mm * deform_factor(voxel_mm)
    count = np.sum([mask for _, mask in fitted], axis=0, dtype=np.float32)
    inside = np.asarray(count >= len(fitted) / 2)
    if not inside.any():
        raise AnomalyError("no voxel is brain in half of the normals; expected masks on one reference grid")
    template = np.asarray(np.sum([log for log, _ in fitted], axis=0) / np.maximum(count, 1), np.float32)
    # Rounded before anything is deformed onto it: what is fitted must be what a file gives back.
    template, inside = build_library([template], [inside]).normal(0)
    smalls = [*fitted, *(() if known else held_out)]
    found = []
    for index, one in enumerate(_onto(template, inside, smalls, mm, jobs)):
        found.append(one)
        progress((index + 1) / len(smalls))
    own = found[: len(held_out)] if known else found[len(fitted) :]
    there = [warp_inside(*small, one.pull) for small, one in zip(fitted, found, strict=False)]
    values, masks = [one for one, _ in there], [one for _, one in there]
    whole = rounded(DeformedView(template, inside, fit_once(values, masks, mm, 0.0)))
    views = [whole] * len(held_out)
    if known:
        models = [fit_once(without(values, i), without(masks, i), mm, 0.0) for i in range(len(held_out))]
        views = [rounded(replace(whole, model=model)) for model in models]
    z = [
        _back(small, one, view.model, smooth_mm)
        for small, one, view in zip(held_out, own, views, strict=True)
    ]
    return DeformedFit(whole, views, z)
