"""Newborn-like anatomy: the template shrunk, deformed at random and refilled with fluid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.demo.template import Array, Points, cerebellum, deep_grey, myelin, soft_step, template

# Turning point of head coordinates, MNI mm.
CENTRE = np.array([0.0, -18.0, 8.0])
LATTICE_MM = 4.0
LATTICE_HALF_MM = 88.0
# (smoothing of white noise in mm, displacement SD in mm): head shape, lobes, gyri, folds.
DEFORMATION = ((26.0, 3.0), (12.0, 2.4), (6.5, 2.2), (4.2, 0.9))
# Reach of the tissue shift beside a ventricle and below the skull, MNI mm.
VENTRICLE_REACH = 18.0
FLUID_REACH = 25.0


@dataclass(frozen=True)
class Shape:
    """Size and form of one head. Lengths in newborn mm; (left, right) pairs."""

    scale: tuple[float, float, float] = (0.62, 0.62, 0.62)  # newborn mm per MNI mm
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)  # head rotation about x, y, z, degrees
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ventricle: tuple[float, float] = (0.0, 0.0)  # ventricle wall moved outward
    fluid: tuple[float, float] = (0.5, 0.5)  # brain surface moved inward, convexity
    deformation: float = 1.0  # factor on DEFORMATION
    sharpness: float = 2.0  # of tissue borders: exponent on the template's probabilities
    seed: int = 0


@dataclass(frozen=True)
class Tissues:
    """Fractions at the voxels of a head, all (n,) float32, and where those voxels lie."""

    grid: tuple[int, int, int]
    scale: float  # newborn mm per MNI mm, mean of the axes
    index: NDArray[np.int64]  # flat voxel index into ``grid``
    points: Points  # MNI mm of the tissue found there
    outside: Array  # newborn mm to the brain's outer surface, negative inside
    skull: Array  # newborn mm to the inner face of the skull, negative inside
    grey: Array
    white: Array
    fluid: Array
    ventricle: Array  # the part of ``fluid`` that is lateral ventricle
    deep: Array  # share of thalamus, lentiform and caudate
    cerebellum: Array
    myelin: Array  # 0 to 1: posterior limb, ventrolateral thalamus, dorsal brainstem

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Inside the brain mask: tissue, ventricles and fluid spaces."""
        return self.outside < 0

    def volume(self, values: Array, background: float = 0.0) -> Array:
        """``values`` (n,) laid back into the grid (X, Y, Z)."""
        out = np.full(self.grid, background, np.float32)
        out.reshape(-1)[self.index] = values
        return out


def rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotation matrix (3, 3): about x, then y, then z."""
    (a, b, c), (d, e, f) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return z @ y @ x


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """Gaussian-filtered white noise of unit SD; ``sigma`` in voxels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return noise / noise.std()


def _splines(size: int, spacing: int) -> Array:
    """Cubic B-spline weights (size, nodes) of a uniform control grid with one node before the first voxel."""
    t = np.arange(size) / spacing + 1
    nodes = np.arange(node_count(size, spacing))
    d = np.abs(t[:, None] - nodes)
    return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6).astype(np.float32)


def node_count(size: int, spacing: int) -> int:
    """Control nodes along an axis of ``size`` voxels."""
    return (size - 1) // spacing + 4


def upsample(nodes: Array, shape: tuple[int, int, int], spacing: int) -> Array:
    """Smooth values (X, Y, Z) from control nodes every ``spacing`` voxels; reproduces linear functions."""
    x, y, z = (_splines(n, spacing) for n in shape)
    out = np.tensordot(x, nodes, (1, 0))  # (X, b, c)
    out = np.matmul(y, out)  # (X, Y, c)
    return np.matmul(out, z.T)  # (X, Y, Z)


def _displacement(head: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Random displacement (3, n) in newborn mm at head coordinates (3, n).

    Drawn on a lattice fixed to the head, so that a subject keeps its folds at another resolution.
    """
    rng = np.random.default_rng(shape.seed)
    size = int(2 * LATTICE_HALF_MM / LATTICE_MM) + 1
    index = (head + LATTICE_HALF_MM) / LATTICE_MM
    # Folds move freely, deep structures little: ventricles and thalami stay in place.
    depth = np.sqrt(((head / np.array([[44.0], [54.0], [42.0]])) ** 2).sum(0))
    free = np.clip(0.3 + 0.9 * (depth - 0.35), 0.3, 1.0)
    coarse, fine = np.zeros_like(head), np.zeros_like(head)
    for sigma, sd in DEFORMATION:
        for axis in range(3):
            noise = smooth_noise(rng, (size,) * 3, sigma / LATTICE_MM)
            amount = sd * ndimage.map_coordinates(noise, index, order=1, mode="nearest")
            if sigma > 20:
                coarse[axis] += amount * (0.5 + 0.5 * free)
            else:
                fine[axis] += amount * free
    # Folds slide along the skull, they don't dent it.
    maps = template()
    mni = (head + coarse) / np.array(shape.scale)[:, None] + CENTRE[:, None]
    p: Points = (mni[0], mni[1], mni[2])
    normal = np.stack([g.at(p) for g in maps.hull_gradient])
    near = np.exp(np.clip(maps.hull.at(p), -60, 0) / 9) / np.maximum((normal**2).sum(0), 0.3)
    fine -= normal * (fine * normal).sum(0) * near
    return (coarse + fine) * shape.deformation


def _make_way(points: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """MNI mm (3, n) of the tissue that is found at ``points`` once the fluid spaces have their size."""
    maps = template()
    p: Points = (points[0], points[1], points[2])
    right = 1 / (1 + np.exp(-points[0] / 2.0))
    mean_scale = float(np.mean(shape.scale))
    wall = (shape.ventricle[0] * (1 - right) + shape.ventricle[1] * right) / mean_scale
    loss = (shape.fluid[0] * (1 - right) + shape.fluid[1] * right) / mean_scale
    distance, hull = maps.ventricle.at(p), maps.hull.at(p)
    outward = wall * np.exp(-np.clip(distance - np.clip(wall, 0, None), 0, None) / VENTRICLE_REACH)
    # The skull base holds the brain: fluid gathers over the convexity.
    inward = loss * np.exp(np.clip(hull, None, 0) / FLUID_REACH) / (1 + np.exp(-(points[2] - 5) / 8))
    out = points.copy()
    for axis in range(3):
        out[axis] += inward * maps.hull_gradient[axis].at(p) - outward * maps.ventricle_gradient[axis].at(p)
    return out


def build(
    shape: Shape, grid: tuple[int, int, int], affine: NDArray[np.float64], margin: float = 1.0
) -> Tissues:
    """Tissue fractions of a head on a grid.

    Parameters
    ----------
    shape: size and form of the head.
    grid: voxels (X, Y, Z).
    affine: (4, 4), voxel index to world mm, RAS+.
    margin: newborn mm beyond the inner face of the skull to include.
    """
    maps = template()
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(0))
    every = max(1, round(LATTICE_MM / float(spacing.mean())))
    counts = tuple(node_count(n, every) for n in grid)
    nodes = np.indices(counts).reshape(3, -1) * every - every
    world = affine[:3, :3] @ nodes + affine[:3, 3:]
    head = rotation(shape.tilt).T @ (world - np.array(shape.shift)[:, None])
    scale = np.array(shape.scale)[:, None]
    frame = (head + _displacement(head, shape)) / scale + CENTRE[:, None]
    moved = _make_way(frame, shape)

    def fill(values: NDArray[np.float64]) -> Array:
        return upsample(values.reshape(counts).astype(np.float32), grid, every).reshape(-1)

    full = (fill(frame[0]), fill(frame[1]), fill(frame[2]))
    mean_scale = float(scale.mean())
    skull = maps.head.at(full) * mean_scale
    index = np.flatnonzero(skull < margin)
    p: Points = (full[0][index], full[1][index], full[2][index])
    q: Points = (fill(moved[0])[index], fill(moved[1])[index], fill(moved[2])[index])
    skull, outside = skull[index], maps.hull.at(p) * mean_scale
    inside = soft_step(-outside, 0.6)

    grey, white = maps.grey.at(q), maps.white.at(q)
    fluid: Array = np.clip(1 - grey - white, 0, 1)
    # Newborn cortex is thin, sulci are wide: sharpen, with white matter and fluid favoured.
    power = np.float32(shape.sharpness)
    grey, white, fluid = grey**power, np.float32(1.5) * white**power, np.float32(1.15) * fluid**power
    deep, nuclei = deep_grey(q)
    white, grey = white * (1 - nuclei), grey + white * nuclei
    total = grey + white + fluid + 1e-6

    right = soft_step(p[0], 8.0)
    wall = shape.ventricle[0] * (1 - right) + shape.ventricle[1] * right
    ventricle = soft_step(wall - maps.ventricle.at(p) * mean_scale, 0.7) * inside
    solid = (1 - ventricle) * inside / total
    grey, white = grey * solid, white * solid
    return Tissues(
        grid,
        mean_scale,
        index,
        q,
        outside,
        skull,
        grey,
        white,
        np.clip(1 - grey - white, 0, 1),
        ventricle,
        deep,
        cerebellum(q),
        myelin(q, deep),
    )
