"""Newborn-like anatomy: the ICBM152 tissue maps, shrunk, deformed and refilled with fluid.

The maps are those that nilearn carries (ICBM 152 nonlinear symmetric 2009a; Fonov et al. 2011,
NeuroImage 54:313).
What they lack (deep grey matter as one region, internal capsule, tentorium) is simple geometry in MNI mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Points = tuple[Array, Array, Array]

# Turning point of head coordinates, MNI mm.
CENTRE = np.array([0.0, -18.0, 8.0])
# Grey and white matter of the template, ml; sets the scale for a wanted brain volume.
TEMPLATE_TISSUE_ML = 1678.0
LATTICE_MM = 4.0
LATTICE_HALF_MM = 88.0
# (smoothing of white noise in mm, displacement SD in mm): head shape, lobes, gyri, folds.
DEFORMATION = ((26.0, 3.0), (12.0, 2.4), (6.5, 2.2), (4.2, 0.9))
# Reach of the tissue shift beside a ventricle and below the skull, MNI mm.
VENTRICLE_REACH = 18.0
FLUID_REACH = 25.0


@dataclass(frozen=True)
class Field:
    """A scalar map (X, Y, Z) on an axis-aligned MNI grid: mm = index * step + origin."""

    data: Array
    origin: NDArray[np.float64]
    step: float

    def at(self, points: Points) -> Array:
        """Linear interpolation at MNI mm (three arrays of one shape); the edge value beyond the grid."""
        index = [((p - o) / self.step).astype(np.float32) for p, o in zip(points, self.origin, strict=True)]
        return ndimage.map_coordinates(self.data, index, order=1, mode="nearest", output=np.float32)


@dataclass(frozen=True)
class Template:
    """Maps of the template: probabilities, and signed distances in MNI mm (negative inside)."""

    grey: Field
    white: Field
    hull: Field  # distance to the brain's outer surface
    head: Field  # distance to the same, hollows filled: where the skull runs
    ventricle: Field  # distance to the lateral ventricles
    hull_gradient: tuple[Field, Field, Field]
    ventricle_gradient: tuple[Field, Field, Field]


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


def _signed_distance(inside: NDArray[np.bool_], step: float) -> Array:
    distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    return ndimage.gaussian_filter((distance * step).astype(np.float32), 0.8)


def _gradient(field: Field) -> tuple[Field, Field, Field]:
    """Unit direction of steepest growth; shorter where directions meet."""
    smooth = ndimage.gaussian_filter(field.data, 1.5)
    x, y, z = (g.astype(np.float32) for g in np.gradient(smooth, field.step))
    return (
        Field(x, field.origin, field.step),
        Field(y, field.origin, field.step),
        Field(z, field.origin, field.step),
    )


def _ventricle_box(fluid: Array, origin: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Lateral ventricles of the template: fluid near the midline, less third ventricle and cisterns."""
    x, y, z = np.meshgrid(
        *(np.arange(n) + o for n, o in zip(fluid.shape, origin, strict=True)), indexing="ij", sparse=True
    )
    box = (abs(x) < 45) & (y > -62) & (y < 36) & (z > -3) & (z < 32)
    other = ((abs(x) < 14) & (y < -26) & (z < 16)) | ((abs(x) < 4) & ((z < 4) | (y < -18) & (z < 20)))
    sylvian = (abs(x) > 18) & (y > -5)
    labels, count = ndimage.label((fluid > 0.45) & box & ~other & ~sylvian)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return (sizes > 3000)[labels] & (labels > 0)


@cache
def template() -> Template:
    """Read the maps from nilearn's wheel and derive the distances, once a process (2 s)."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_wm_template

    grey, white, mask = (
        np.asanyarray(load(resolution=1).dataobj, dtype=np.float32)
        for load in (load_mni152_gm_template, load_mni152_wm_template, load_mni152_brain_mask)
    )
    origin = np.array([-98.0, -134.0, -72.0])
    fluid = np.clip(mask - grey - white, 0, 1)

    crop = (slice(33, 164), slice(48, 195), slice(49, 124))  # ventricles and 20 mm around
    corner = origin + np.array([33.0, 48.0, 49.0])
    ventricle = Field(_signed_distance(_ventricle_box(fluid, origin)[crop], 1.0), corner, 1.0)

    # 2 mm is fine enough for a smooth hull; padded so that scalp has room.
    coarse = np.pad(mask[::2, ::2, ::2] > 0.5, 12)
    hull = Field(_signed_distance(ndimage.binary_closing(coarse, iterations=3), 2.0), origin - 24, 2.0)
    # Closing by 22 mm, by distances.
    near = ndimage.distance_transform_edt(hull.data > 0) < 11
    head = Field(_signed_distance(ndimage.distance_transform_edt(near) > 11, 2.0), origin - 24, 2.0)
    return Template(
        Field(grey, origin, 1.0),
        Field(white, origin, 1.0),
        hull,
        head,
        ventricle,
        _gradient(hull),
        _gradient(ventricle),
    )


def soft_step(value: Array, width: float) -> Array:
    """Smooth 0 to 1 as ``value`` passes 0 within about ``width``."""
    return (1 / (1 + np.exp(np.clip(-value / (0.35 * width), -30, 30)))).astype(np.float32)


def _ellipsoid(
    p: Points, centre: tuple[float, float, float], radii: tuple[float, float, float], yaw: float
) -> Array:
    """Mirrored soft ellipsoid: 1 inside, 0 outside; ``yaw`` (degrees) turns its back end outward."""
    x, y, z = abs(p[0]) - centre[0], p[1] - centre[1], p[2] - centre[2]
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    r = np.sqrt(((c * x + s * y) / radii[0]) ** 2 + ((-s * x + c * y) / radii[1]) ** 2 + (z / radii[2]) ** 2)
    return soft_step((1 - r) * min(radii), 3.0)


def tentorium_height(x: Array, y: Array) -> Array:
    """z (MNI mm) of the tentorium over (x, y): a ridge along the straight sinus, falling to both sides."""
    apex = np.clip(2 + 0.6 * (y + 50), -22, 4)
    return -22 + (apex + 22) * np.exp(-((x / 18) ** 2))


def _cerebellum(p: Points) -> Array:
    below = soft_step(tentorium_height(p[0], p[1]) - p[2], 3.0)
    return below * soft_step(-34 - 0.2 * abs(p[0]) - p[1], 3.0)


def _myelin(p: Points, deep: Array) -> Array:
    """Where newborn white matter is myelinated, as soft tubes and balls in MNI mm."""
    x, y, z = abs(p[0]), p[1], p[2]
    # Posterior limb: from (18, -8) to (26, -26) around z = 8, leaning outward on its way up.
    along = (y + 17) / -9
    across = (x - 22 - 4 * along - 0.12 * (z - 8)) * 0.9
    limb = np.exp(-((across / 2.4) ** 2) - np.abs(along) ** 4 - (((z - 8) / 13) ** 2) ** 2)
    thalamus = 0.55 * np.exp(-(((x - 15) / 4) ** 2) - ((y + 17) / 5) ** 2 - ((z - 4) / 6) ** 2)
    # Dorsal brainstem, from colliculi to medulla, and the middle of the vermis.
    back = -31 + 0.3 * (z + 18)
    stem = 0.7 * np.exp(-((x / 9) ** 4) - ((y - back) / 6) ** 2) * soft_step(-6 - z, 6.0)
    return np.clip(limb + thalamus * (0.4 + 0.6 * deep) + stem, 0, 1).astype(np.float32)


def _deep_grey(p: Points) -> tuple[Array, Array]:
    """Deep grey matter, and the part of it whose white matter counts as grey: the limbs stay free."""
    thalamus = _ellipsoid(p, (12, -18, 7), (9.5, 15, 9.5), -25)
    lentiform = _ellipsoid(p, (23.5, 0, 1), (8, 19, 12), -14)
    caudate = _ellipsoid(p, (13, 12, 8), (5.5, 11, 10), -14)
    striatum = np.maximum(lentiform, caudate)
    across = abs(p[0]) - (22 + 4 * (p[1] + 17) / -9 + 0.12 * (p[2] - 8))
    limb = np.exp(-((across / 3.0) ** 2)) * soft_step(-p[1], 8.0)
    return np.maximum(thalamus, striatum), np.maximum(thalamus, 0.6 * striatum) * (1 - 0.8 * limb)


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

    Drawn on a lattice fixed to the head, so that a subject is the same at every resolution.
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
    shape: Shape, grid: tuple[int, int, int], affine: NDArray[np.float64], margin: float = 0.0
) -> Tissues:
    """Tissue fractions of a head on a grid.

    Parameters
    ----------
    shape: size and form of the head.
    grid: voxels (X, Y, Z).
    affine: (4, 4), voxel index to world mm, RAS+.
    margin: newborn mm around the brain to include (scalp).
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
    fluid = np.clip(1 - grey - white, 0, 1)
    # Newborn cortex is thin, sulci are wide: sharpen, with white matter and fluid favoured.
    power = shape.sharpness
    grey, white, fluid = grey**power, np.float32(1.5) * white**power, np.float32(1.15) * fluid**power
    deep, nuclei = _deep_grey(q)
    cerebellum = _cerebellum(q)
    limb = _myelin(q, deep)
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
        cerebellum,
        limb,
    )
