"""Lesions implanted into prepared normals, to choose settings on scans whose truth is known.

They need no tissue maps and know nothing of the demo's generator, so that any cohort's held-out normals serve
and what is chosen with them is not chosen on test scans. Kinds and sizes follow a trial on real newborns: a
cyst, punctate spots, a cortical infarct, a haemorrhage beside the ventricle, diffuse white matter; and what
moves anatomy or is thin: wide ventricles, local loss of volume, a layer of blood under the surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_opening,
    distance_transform_edt,
    gaussian_filter,
    generate_binary_structure,
    map_coordinates,
    zoom,
)
from scipy.ndimage import (
    label as components,
)

from core.anomaly.residual import Array, Mask, check_mask, smooth_inside
from core.evaluation.baselines import Cube
from core.evaluation.statistics import EvaluationError
from core.preprocess.fine import FineScan

DEPTH_MM = 18.0  # fluid deeper than this below the mask's surface is ventricle
CORTEX_MM = (2.0, 8.0)  # below the mask's surface


@dataclass(frozen=True, eq=False)
class Implant:
    """A normal scan with lesions in it: ``labels`` (N, N, N), 1 to L; all L are of one kind."""

    kind: str
    cube: Cube
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Places:
    """Where what lies, guessed from intensity and depth."""

    mask: Mask
    depth: Array  # mm below the mask's surface
    fluid: Mask
    ventricle: Mask
    to_ventricle: Array  # mm
    white: Mask
    fluid_level: float
    white_level: float
    voxel_mm: float


def _places(x: Array, mask: Mask, voxel_mm: float) -> _Places:
    depth = np.asarray(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * voxel_mm, np.float32)
    values = x[mask]
    middle, high = (float(value) for value in np.quantile(values, [0.5, 0.995]))
    fluid = mask & (x > (middle + high) / 2)
    ventricle = fluid & (depth > DEPTH_MM)
    if not ventricle.any():  # a slit: the brightest of what is deep
        deep = mask & (depth > DEPTH_MM)
        if not deep.any():
            raise EvaluationError(f"no voxel lies {DEPTH_MM:g} mm below the mask's surface; expected a brain")
        ventricle = deep & (x >= np.quantile(x[deep], 0.99))
    # Newborn white matter is brighter than cortex in T2 and comes in sheets, not in specks.
    white = mask & ~fluid & (x > middle) & (depth > CORTEX_MM[1])
    opened = binary_opening(white, generate_binary_structure(3, 1))
    white = np.asarray(opened if opened.any() else white, bool)
    if not white.any():
        raise EvaluationError("no white matter was found; expected a T2 scan of a newborn")
    return _Places(
        mask=mask,
        depth=depth,
        fluid=fluid,
        ventricle=ventricle,
        to_ventricle=np.asarray(distance_transform_edt(~ventricle) * voxel_mm, np.float32),
        white=white,
        fluid_level=float(np.median(x[fluid])) if fluid.any() else high,
        white_level=float(np.median(x[white])),
        voxel_mm=voxel_mm,
    )


def _blob(
    places: _Places, at: Mask, radius_mm: float, edge_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Weight 0 to 1 (N, N, N) of an uneven ball around a random voxel of ``at``; 0.5 at its rim."""
    candidates = np.argwhere(at)
    if len(candidates) == 0:
        raise EvaluationError(f"no place for a lesion at voxels of {places.voxel_mm:g} mm; expected a brain")
    centre = candidates[rng.integers(len(candidates))] + rng.uniform(-0.5, 0.5, 3)
    axes = np.ogrid[tuple(slice(n) for n in at.shape)]
    squeeze = rng.uniform(0.8, 1.25, 3)
    squeeze /= np.prod(squeeze) ** (1 / 3)
    square = sum(
        ((axis - c) * places.voxel_mm / s) ** 2 for axis, c, s in zip(axes, centre, squeeze, strict=True)
    )
    distance = np.sqrt(np.asarray(square, np.float32))
    bumps = gaussian_filter(
        rng.standard_normal(at.shape).astype(np.float32), max(radius_mm / places.voxel_mm / 2, 0.6)
    )
    distance = distance * (1 + 0.15 * bumps / max(float(bumps.std()), 1e-6))
    weight = 1 / (1 + np.exp(np.clip((distance - radius_mm) / (edge_mm / 2), -30, 30)))
    return np.asarray(np.where(places.mask, weight, 0), np.float32)


Made = tuple[Array, list[Mask]]


def _towards(x: Array, weight: Array, target: Array | float) -> Array:
    return np.asarray(x + weight * (target - x), np.float32)


def _cyst(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    weight = _blob(places, places.white, rng.uniform(3, 6), 1.0, rng)
    return _towards(x, weight, places.fluid_level * rng.uniform(0.85, 1.0)), [weight >= 0.5]


def _spots(x: Array, places: _Places, factor: float, rng: np.random.Generator) -> Made:
    found: list[Mask] = []
    free = places.white
    for _ in range(int(rng.integers(2, 5))):
        if not free.any():
            break
        weight = _blob(places, free, rng.uniform(1.8, 3), 0.8, rng)
        x = _towards(x, weight, x * factor)
        found.append(weight >= 0.5)
        far = distance_transform_edt(~found[-1]) * places.voxel_mm > 8
        free = free & far if found[-1].any() else free
    return x, found


def _bright(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    return _spots(x, places, rng.uniform(1.35, 1.7), rng)


def _dark(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    return _spots(x, places, rng.uniform(0.35, 0.65), rng)


def _infarct(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    cortex = (
        places.mask
        & ~places.fluid
        & (places.depth > CORTEX_MM[0])
        & (places.depth < max(CORTEX_MM[1], 1.5 * places.voxel_mm))
    )
    weight = _blob(places, cortex, rng.uniform(8, 14), 2.0, rng)
    tissue = places.mask & ~places.fluid
    weight = np.where(tissue, weight, 0)
    # Cortex lost: its ribbon blurs into swollen, brighter tissue.
    blurred = smooth_inside(x, tissue, 3.0 / places.voxel_mm)
    target = 0.5 * blurred + 0.5 * places.white_level
    return _towards(x, weight, target * rng.uniform(1.15, 1.35)), [weight >= 0.5]


def _haemorrhage(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    beside = places.mask & (places.to_ventricle > 0) & (places.to_ventricle < 6)
    weight = _blob(places, beside, rng.uniform(3, 7), 1.0, rng)
    target = np.minimum(x, np.float32(places.white_level)) * np.float32(rng.uniform(0.35, 0.6))
    return _towards(x, weight, target), [weight >= 0.5]


def _diffuse(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    weight = _blob(places, places.white, rng.uniform(12, 18), 4.0, rng)
    weight = np.where(places.mask & ~places.fluid & (places.depth > CORTEX_MM[1] - 2), weight, 0)
    return _towards(x, weight, x * rng.uniform(1.15, 1.3)), [weight >= 0.5]


def _ventricles(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    """Inner fluid swollen by 2 to 5 mm; what lies within 20 mm around it gives way."""
    grown, reach = rng.uniform(2, 5), 20.0
    bodies, count = components(
        binary_opening(places.ventricle) if places.ventricle.sum() > 50 else places.ventricle
    )
    sizes = np.bincount(bodies.ravel())[1:]
    inner = bodies > 0 if count < 2 else np.isin(bodies, 1 + np.argsort(sizes)[-2:])
    if not inner.any():
        inner = places.ventricle
    distance, nearest = distance_transform_edt(~inner, return_indices=True)
    t = distance * places.voxel_mm
    # From the old wall (0 mm) to ``grown``, and back to no shift at ``reach``.
    source = np.where(t <= grown, 0, reach * (t - grown) / (reach - grown))
    moves = (t > 0) & (t < reach) & places.mask
    share = np.divide(source, t, out=np.ones_like(t), where=moves)
    at = nearest + (np.indices(x.shape) - nearest) * share
    warped = map_coordinates(x, at, order=1, mode="nearest")
    brain = map_coordinates(places.mask.astype(np.float32), at, order=0) > 0
    new = np.where(moves & brain, warped, x)
    # The old wall's voxels held tissue too; new fluid is as bright as the old.
    wet = places.mask & (t <= grown)
    new = np.where(wet, np.maximum(new, np.float32(np.median(x[inner]))), new)
    return new.astype(np.float32), [wet & (t > 0) & ~places.fluid]


def _volume_loss(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    """Tissue drawn in from the surface by up to 3 to 6 mm in one region; fluid takes its place."""
    rim = places.mask & (places.depth < 2 * places.voxel_mm)
    weight = _blob(places, rim, rng.uniform(14, 24), 8.0, rng)
    drawn, reach = rng.uniform(3, 6) * weight, 22.0
    distance, nearest = distance_transform_edt(np.pad(places.mask, 1), return_indices=True)
    middle = (slice(1, -1),) * 3
    t = distance[middle] * places.voxel_mm
    outside = nearest[(slice(None), *middle)] - 1
    source = np.where(t <= drawn, 0, reach * (t - drawn) / (reach - drawn))
    moves = (t < reach) & (drawn > 0.05) & places.mask
    share = np.divide(source, t, out=np.ones_like(t), where=moves)
    at = outside + (np.indices(x.shape) - outside) * share
    # Read as if fluid surrounded the brain: what moves in from beyond the rim.
    around = np.where(places.mask, x, np.float32(places.fluid_level))
    new = np.where(moves, map_coordinates(around, at, order=1, mode="nearest"), x).astype(np.float32)
    threshold = 0.5 * (places.fluid_level + places.white_level)
    widened = places.mask & (weight >= 0.25) & (new > threshold) & (x <= threshold)
    return new, [widened]


def _sheet(x: Array, places: _Places, rng: np.random.Generator) -> Made:
    """Blood in a layer 1 to 2.5 mm thin that follows the surface, 16 to 30 mm across."""
    near = places.mask & (places.depth > 1) & (places.depth < max(5, 1.5 * places.voxel_mm))
    within = _blob(places, near, rng.uniform(8, 15), 1.0, rng)
    middle = rng.uniform(1.5, 4)
    half = rng.uniform(0.5, 1.25)
    layer = np.clip(0.5 + (half - np.abs(places.depth - middle)) / places.voxel_mm, 0, 1)
    weight = np.asarray(within * layer, np.float32)
    target = np.minimum(x, np.float32(places.white_level)) * np.float32(rng.uniform(0.35, 0.6))
    return _towards(x, weight, target), [weight >= 0.5]


KINDS: dict[str, Callable[[Array, _Places, np.random.Generator], Made]] = {
    "cyst": _cyst,
    "punctate_bright": _bright,
    "punctate_dark": _dark,
    "infarct": _infarct,
    "haemorrhage": _haemorrhage,
    "diffuse_white_matter": _diffuse,
    "wide_ventricles": _ventricles,
    "volume_loss": _volume_loss,
    "thin_blood": _sheet,
}


def implant(cube: Cube, kind: str, seed: int) -> Implant:
    """A copy of a prepared normal with a lesion of one kind, or a few spots; the same seed gives the same.

    Sizes are radii in mm: cyst 3 to 6, as bright as fluid, in white matter; two to four punctate spots 1.8 to
    3; cortical infarct 8 to 14, brighter, its ribbon blurred away; haemorrhage 3 to 7, dark, within 6 mm of
    the ventricle; diffuse white matter 12 to 18, mildly bright. Wide ventricles (walls moved by 2 to 5 mm)
    and loss of volume (surface drawn in by up to 3 to 6 mm) warp the scan; their lesion is the new fluid.
    Thin blood is a layer of 1 to 2.5 mm. A lesion's voxels are those changed by half
    or more; where none is, the voxel that changed most.

    Raises
    ------
    AnomalyError, EvaluationError
        For an unknown kind, an empty mask, or a scan in which no place for it is found.
    """
    if kind not in KINDS:
        raise EvaluationError(f"unknown lesion {kind!r}; known are {', '.join(KINDS)}")
    mask = check_mask(cube.x, cube.mask, "scan")
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    places = _places(cube.x, mask, cube.voxel_mm)
    x, lesions = KINDS[kind](cube.x.astype(np.float32), places, rng)
    x = np.where(mask, np.clip(x, 0, 1), 0).astype(np.float32)
    labels = np.zeros(x.shape, np.int64)
    for label, lesion in enumerate((one for one in lesions if (one & mask).any()), 1):
        labels[lesion & mask] = label
    if not labels.any():
        labels[np.unravel_index(int(np.abs(x - cube.x).argmax()), x.shape)] = 1
    fine = None if cube.fine is None else partial(_fine_too, cube.fine, _change(cube.x, x))
    return Implant(kind, replace(cube, x=x, key=f"{cube.key}+{kind}{seed}", fine=fine), labels)


def _change(before: Array, after: Array) -> Array:
    """Log of what each voxel's intensity was multiplied by, within a factor of ten; 0 where it was 0."""
    there = before > 1e-3
    ratio = np.divide(after, before, out=np.ones_like(after), where=there)
    return np.log(np.clip(ratio, 0.1, 10)).astype(np.float32)


def _fine_too(read: Callable[[], FineScan], change: Array) -> FineScan:
    """The scan near 1 mm with the same lesion: the cube's change between its voxels' centres."""
    fine = read()
    factor = fine.x.shape[0] / change.shape[0]
    grown = zoom(change, factor, order=1, mode="nearest", grid_mode=True)
    return replace(fine, x=np.asarray(fine.x * np.exp(grown), np.float32))


def implants(cube: Cube, seed: int) -> list[Implant]:
    """One implant of each kind in one scan."""
    return [implant(cube, kind, seed) for kind in KINDS]
