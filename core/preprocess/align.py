"""Another contrast of the same head brought to the scan: is it there already, and if not, where is it?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.io.volume import Volume, same_grid
from core.preprocess.errors import PrepareError
from core.preprocess.register import transform_matrix
from core.preprocess.resample import bounding_box, index_map

# What counts as aligned: no shift or turn of this size shows more mutual information.
PROBE_MM, PROBE_DEGREES = 2.0, 3.0
LEAST_COVER = 0.95  # of the brain, by the other scan's field of view
_SMOOTH_MM = 1.5  # before information is measured: without interpolation noise counts otherwise than with it
_POINTS = 40_000
_BINS = 32
_MARGIN_MM = 10.0
# Coarse to fine; the last at the scan's own resolution.
_PLAN = {"aff_iterations": (200, 100, 50), "aff_shrink_factors": (4, 2, 1), "aff_smoothing_sigmas": (2, 1, 0)}
_STARTS = ("Identity", None)  # as the headers say; else centres of mass on each other


@dataclass(frozen=True, eq=False)
class _Points:
    """Places in the brain, and what both scans show there."""

    fixed: np.ndarray  # (P,) bin numbers
    world: np.ndarray  # (P, 4) RAS+ mm of the fixed scan
    slow: np.ndarray  # (P, 10) orthonormal, quadratic in place: what a bias field may do
    moving: np.ndarray  # (X, Y, Z), smoothed
    to_index: np.ndarray  # (4, 4), RAS+ mm of the moving scan to its voxels

    def values(self, fixed_to_moving: np.ndarray) -> np.ndarray:
        """(P,) of the moving scan, NaN beyond its borders."""
        at = (self.world @ (self.to_index @ fixed_to_moving).T)[:, :3]
        return ndimage.map_coordinates(self.moving, at.T, order=1, mode="constant", cval=np.nan)

    def information(self, fixed_to_moving: np.ndarray) -> float:
        """Mutual information of both scans, nats."""
        values = self.values(fixed_to_moving)
        there = np.isfinite(values)
        if np.count_nonzero(there) < 0.5 * len(values):
            return 0.0
        values = np.where(there, values, np.median(values[there]))
        pairs = (_BINS * self.fixed + _binned(_fast(values, self.slow)))[there]
        joint = np.bincount(pairs, minlength=_BINS * _BINS).reshape(_BINS, _BINS) / np.count_nonzero(there)
        apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        seen = joint > 0
        return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _binned(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (1, 99))
    scaled = (values - low) / max(float(high - low), 1e-6) * _BINS
    return np.clip(scaled.astype(np.int64), 0, _BINS - 1)


def _fast(values: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """Log intensity less its slow trend: each scan's own bias field would hide what they share."""
    logs = np.log(np.maximum(values, 0.1 * max(float(np.median(values)), 1e-6)))
    return logs - slow @ (slow.T @ logs)


def _slow(places: np.ndarray) -> np.ndarray:
    """(P, 3) mm to (P, 10), orthonormal columns that span all quadratic functions of place."""
    x, y, z = ((places - places.mean(axis=0)) / np.maximum(places.std(axis=0), 1e-6)).T
    columns = [np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z]
    return np.linalg.qr(np.column_stack(columns))[0]


def _points(fixed: Volume, inside: np.ndarray, moving: Volume) -> _Points:
    box = bounding_box(inside, int(np.ceil(2 * _SMOOTH_MM / fixed.spacing.min())))
    smooth = ndimage.gaussian_filter(fixed.data[box], _SMOOTH_MM / fixed.spacing)
    voxels = np.argwhere(inside[box])
    voxels = voxels[:: max(len(voxels) // _POINTS, 1)]
    placed = np.column_stack([voxels + [axis.start for axis in box], np.ones(len(voxels))])
    world = placed @ fixed.affine.T
    slow = _slow(world[:, :3])
    return _Points(
        fixed=_binned(_fast(smooth[tuple(voxels.T)], slow)),
        world=world,
        slow=slow,
        moving=ndimage.gaussian_filter(moving.data, _SMOOTH_MM / moving.spacing),
        to_index=np.linalg.inv(moving.affine),
    )


def _probes(centre: np.ndarray) -> list[np.ndarray]:
    """(4, 4) each: a shift and a turn about ``centre`` (3,), both ways along and about each axis."""
    probes = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            shift, turn = np.eye(4), np.eye(4)
            shift[axis, 3] = sign * PROBE_MM
            angle = sign * np.deg2rad(PROBE_DEGREES)
            i, j = [other for other in range(3) if other != axis]
            turn[[i, j], [i, j]] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            turn[:3, 3] = centre - turn[:3, :3] @ centre
            probes += [shift, turn]
    return probes


def _at_peak(points: _Points, fixed_to_moving: np.ndarray) -> bool:
    best = points.information(fixed_to_moving)
    centre = points.world[:, :3].mean(axis=0)
    return all(points.information(fixed_to_moving @ probe) < best for probe in _probes(centre))


def rigid(fixed: Volume, inside: np.ndarray, moving: Volume, start: str | None = "Identity") -> np.ndarray:
    """Rigid map from ``fixed`` to ``moving`` (ANTs Rigid, Mattes mutual information inside the brain).

    ``inside`` (X, Y, Z): brain on the grid of ``fixed``; of ``moving`` the whole head is seen.

    Returns
    -------
    (4, 4), fixed RAS+ mm to moving RAS+ mm; bit for bit the same on every call

    Raises
    ------
    PrepareError
        Where ANTs fails.
    """
    from core.io.itk import FLIP, ants, itk_affine, to_ants

    box = bounding_box(inside, int(np.ceil(_MARGIN_MM / fixed.spacing.min())))
    near = fixed.affine.copy()
    near[:3, 3] = fixed.affine[:3] @ [*(axis.start for axis in box), 1.0]
    with tempfile.TemporaryDirectory(prefix="fontanelle-") as folder:
        try:
            result = ants.registration(
                to_ants(fixed.data[box], near),
                to_ants(moving.data, moving.affine),
                type_of_transform="Rigid",
                initial_transform=start,
                mask=to_ants(inside[box], near),
                outprefix=f"{folder}/",
                singleprecision=False,
                **_PLAN,
            )
            transform = ants.read_transform(result["fwdtransforms"][0])
        except (RuntimeError, ValueError, IndexError) as error:
            raise PrepareError(f"align: ANTs failed ({error}); expected two scans of one head") from error
    found = transform_matrix(np.asarray(transform.parameters), np.asarray(transform.fixed_parameters))
    # ITK saw both grids without their shear.
    fixed_fix = near @ np.linalg.inv(itk_affine(near))
    moving_fix = moving.affine @ np.linalg.inv(itk_affine(moving.affine))
    return moving_fix @ FLIP @ found @ FLIP @ np.linalg.inv(fixed_fix)


def align(fixed: Volume, inside: np.ndarray, moving: Volume, name: str) -> tuple[np.ndarray, bool]:
    """Where ``moving`` shows what ``fixed`` shows: rigid, fixed RAS+ mm to moving RAS+ mm, and if it moved.

    Headers are not believed alone: they hold (and nothing is moved) where both scans share the grid and no
    shift of 2 mm or turn of 3° along or about any axis shows more mutual information inside the brain (of log
    intensity, less each scan's quadratic trend, which a bias field may give). Else
    the two are registered, from where the headers put them, then from their centres of mass, and what comes
    out must pass the same check.

    Raises
    ------
    PrepareError
        Where no start ends at such a peak, or ``moving`` covers less than 0.95 of the brain.
    """
    points = _points(fixed, inside, moving)
    transform, moved = np.eye(4), False
    if not (same_grid(fixed, moving) and _at_peak(points, transform)):
        found = (rigid(fixed, inside, moving, start) for start in _STARTS)
        peak = next((one for one in found if _at_peak(points, one)), None)
        if peak is None:
            raise PrepareError(
                f"{name}: no rigid match with the T2w inside the brain; expected the same head, scanned in "
                "the same session"
            )
        transform, moved = peak, True
    cover = float(np.isfinite(points.values(transform)).mean())
    if cover < LEAST_COVER:
        raise PrepareError(f"{name}: covers {cover:.0%} of the brain; expected {LEAST_COVER:.0%} or more")
    return transform, moved


def carried(mask: Volume, other: Volume, fixed_to_other: np.ndarray) -> np.ndarray:
    """Brain mask (0/1) of ``mask``'s grid on the grid of ``other``, bool."""
    to_mask = index_map(mask.affine, other.affine, np.linalg.inv(fixed_to_other))
    sampled = ndimage.affine_transform(
        mask.data, to_mask[:3, :3], to_mask[:3, 3], output_shape=other.shape, order=1, mode="grid-constant"
    )
    return np.asarray(sampled >= 0.5)
