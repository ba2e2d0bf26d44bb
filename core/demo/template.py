"""The ICBM152 tissue maps that nilearn carries, and the regions that they lack as simple geometry in MNI mm.

ICBM 152 nonlinear symmetric 2009a: Fonov et al. 2011, NeuroImage 54:313. Symmetric, so the geometry is
written for the right side and mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Points = tuple[Array, Array, Array]

# Grey and white matter of the template, ml; sets the scale for a wanted brain volume.
TISSUE_ML = 1678.0


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


def cerebellum(p: Points) -> Array:
    below = soft_step(tentorium_height(p[0], p[1]) - p[2], 3.0)
    return below * soft_step(-34 - 0.2 * abs(p[0]) - p[1], 3.0)


def myelin(p: Points, deep: Array) -> Array:
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


def deep_grey(p: Points) -> tuple[Array, Array]:
    """Deep grey matter, and the part of it whose white matter counts as grey: the limbs stay free."""
    thalamus = _ellipsoid(p, (12, -18, 7), (9.5, 15, 9.5), -25)
    lentiform = _ellipsoid(p, (23.5, 0, 1), (8, 19, 12), -14)
    caudate = _ellipsoid(p, (13, 12, 8), (5.5, 11, 10), -14)
    striatum = np.maximum(lentiform, caudate)
    across = abs(p[0]) - (22 + 4 * (p[1] + 17) / -9 + 0.12 * (p[2] - 8))
    limb = np.exp(-((across / 3.0) ** 2)) * soft_step(-p[1], 8.0)
    return np.maximum(thalamus, striatum), np.maximum(thalamus, 0.6 * striatum) * (1 - 0.8 * limb)
