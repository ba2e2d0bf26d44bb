"""Lesions with exact masks: each kind follows its usual place, size and sign in the newborn's T2 and T1.

Kinds that add fluid (ventriculomegaly, volume loss) change the head's shape, so tissue really makes way;
the others repaint the noise-free signal. Millimetres are the newborn's own unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.demo.anatomy import Shape, Tissues
from core.demo.contrast import FLUID, slow_field
from core.demo.template import Array, soft_step, tentorium_height

Side = Literal["left", "right"]
Kind = Literal[
    "punctate_bright",
    "punctate_dark",
    "diffuse_white_matter",
    "cyst",
    "infarct",
    "germinal_matrix_haemorrhage",
    "tentorial_haemorrhage",
    "ventriculomegaly",
    "volume_loss",
]
# Sign of the intensity change.
SIGN: dict[str, int] = {
    "punctate_bright": 1,
    "punctate_dark": -1,
    "diffuse_white_matter": 1,
    "cyst": 1,
    "infarct": 1,
    "germinal_matrix_haemorrhage": -1,
    "tentorial_haemorrhage": -1,
    "ventriculomegaly": 1,
    "volume_loss": 1,
}


@dataclass(frozen=True)
class Look:
    """Signal of lesions in one contrast, in units of the gain, and the sign of each kind's change."""

    bright: float  # of "punctate_bright", as T2 shows it
    dark: float
    diffuse: tuple[float, float, float]  # factor of the tissue's signal, least, most
    cyst: float
    infarct: float
    blood: float
    sign: Mapping[str, int]


T2_LOOK = Look(0.95, 0.26, (1.24, -np.inf, 0.95 * FLUID), FLUID, 0.84, 0.2, SIGN)
# Punctate lesions that are dark in T2 and blood some days old shine in T1; what is wet is dark.
T1_LOOK = Look(
    0.30, 0.95, (0.82, 0.25, np.inf), 0.22, 0.36, 0.95, {kind: -sign for kind, sign in SIGN.items()}
)
# Kinds that are a change of shape.
RESHAPING = ("ventriculomegaly", "volume_loss")
# Caudothalamic notch, and middle of the tentorial leaf: MNI mm on the right.
NOTCH = (13.0, 0.0, 15.0)
LEAF = (24.0, -64.0)


class LesionError(ValueError):
    """An unknown kind, or a lesion for which the head has no place."""


@dataclass(frozen=True)
class Plan:
    """One lesion to be: ``side`` is "both" for ventriculomegaly only."""

    kind: Kind
    side: Literal["left", "right", "both"]


@dataclass(frozen=True)
class Lesions:
    """Repainted signal (X, Y, Z), label map (X, Y, Z) uint8, and the plan behind label 1, 2, …."""

    signal: Array
    labels: NDArray[np.uint8]
    plans: tuple[Plan, ...]


def reshape(shape: Shape, plan: Plan, rng: np.random.Generator) -> Shape:
    """The head with more fluid, for the kinds that are a change of shape; any other plan changes nothing."""
    if plan.kind == "ventriculomegaly":
        grow = rng.uniform(3.5, 5.5)
        lean = rng.uniform(0.85, 1.15)
        left, right = shape.ventricle
        return replace(shape, ventricle=(left + grow * lean, right + grow / lean))
    if plan.kind == "volume_loss":
        at = 0 if plan.side == "left" else 1
        ventricle, fluid = list(shape.ventricle), list(shape.fluid)
        ventricle[at] += rng.uniform(2.2, 3.2)
        fluid[at] += rng.uniform(3.5, 5.0)
        return replace(shape, ventricle=(ventricle[0], ventricle[1]), fluid=(fluid[0], fluid[1]))
    return shape


def new_fluid(plan: Plan, before: Tissues, after: Tissues) -> NDArray[np.bool_]:
    """Brain voxels (n,) that became fluid of the ventricles or, in volume loss, of the lost side's surface.

    Sulci that only moved are left out.
    """
    new = before.brain & (after.fluid > 0.5) & (before.fluid <= 0.5)
    place = after.ventricle > 0.5
    if plan.kind == "volume_loss":
        place = (place | (after.outside > -6.0)) & _own_side(after, plan.side, 0.0)
    return new & place


def _pick(weight: Array, rng: np.random.Generator, kind: str) -> int:
    """A random voxel, likelier where ``weight`` (n,) is high."""
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        raise LesionError(f"{kind}: no voxel of the head fits; expected tissue on that side")
    return int(
        np.searchsorted(np.cumsum(weight, dtype=np.float64), rng.uniform(0, total)).clip(0, len(weight) - 1)
    )


def _own_side(tissues: Tissues, side: str, clear: float = 6.0) -> NDArray[np.bool_]:
    """Voxels (n,) on one side, ``clear`` MNI mm or more off the midline."""
    x = tissues.points[0]
    return x < -clear if side == "left" else x > clear


def _ball(world: Array, at: int, radii: tuple[float, float, float], warp: Array) -> Array:
    """Soft ellipsoid (n,) around voxel ``at``, its radius varied by noise ``warp`` (n,)."""
    offset = world - world[:, at : at + 1]
    distance = np.sqrt(((offset / np.array(radii, np.float32)[:, None]) ** 2).sum(0))
    size = float(np.mean(radii))
    return soft_step((1 - distance * (1 + 0.18 * warp)) * size, min(1.2, 0.5 * size))


def _nearest(tissues: Tissues, mni: tuple[float, float, float]) -> int:
    x, y, z = tissues.points
    return int(np.argmin((x - mni[0]) ** 2 + (y - mni[1]) ** 2 + (z - mni[2]) ** 2))


def _repaint(
    plan: Plan,
    t: Tissues,
    signal: Array,
    world: Array,
    warp: Array,
    scale: float,
    look: Look,
    rng: np.random.Generator,
) -> list[tuple[Array, Array]]:
    """(opacity, target signal), both (n,), of each part of a lesion."""
    own = _own_side(t, plan.side) & (t.outside < -1)
    solid = t.grey + t.white
    x, y, z = t.points
    supratentorial = (1 - t.cerebellum) * (z > -18)
    white = np.where(own & (t.white > 0.85) & (t.myelin < 0.15), supratentorial, 0).astype(np.float32)
    if plan.kind in ("punctate_bright", "punctate_dark"):
        # Along the ventricles and in the centrum semiovale.
        central = white * np.exp(-(((abs(x) - 26) / 10) ** 2) - ((z - 22) / 16) ** 2)
        target = look.bright if plan.kind == "punctate_bright" else look.dark
        parts = []
        for _ in range(int(rng.integers(3, 6))):
            r = rng.uniform(1.6, 3.0)
            spot = _ball(world, _pick(central, rng, plan.kind), (r, r, r), 0 * warp)
            parts.append((spot * t.white, np.full_like(signal, target)))
            central = central * (1 - _ball(world, int(np.argmax(spot)), (3 * r, 3 * r, 3 * r), 0 * warp))
        return parts
    if plan.kind == "diffuse_white_matter":
        r = rng.uniform(12, 17)
        central = white * np.exp(-(((abs(x) - 28) / 9) ** 2) - ((z - 20) / 16) ** 2)
        opacity = _ball(world, _pick(central, rng, plan.kind), (r, 1.2 * r, r), warp) * t.white
        factor, low, high = look.diffuse
        return [(opacity, np.clip(factor * signal, low, high))]
    if plan.kind == "cyst":
        r = rng.uniform(3.2, 5.5)
        central = white * np.exp(-(((abs(x) - 24) / 6) ** 2) - ((z - 22) / 10) ** 2)
        radii = (r, r * rng.uniform(1, 1.4), r)
        opacity = _ball(world, _pick(central, rng, plan.kind), radii, 0.6 * warp)
        return [(opacity, np.full_like(signal, look.cyst))]
    if plan.kind == "infarct":
        r = rng.uniform(8, 14)
        cortex = np.where(own & (t.grey > 0.6) & (t.deep < 0.1), supratentorial, 0) * (abs(x) > 30) * (z > -5)
        opacity = (
            _ball(world, _pick(cortex.astype(np.float32), rng, plan.kind), (r, 1.1 * r, r), warp) * solid
        )
        return [(opacity, np.full_like(signal, look.infarct))]
    sign = -1 if plan.side == "left" else 1
    if plan.kind == "germinal_matrix_haemorrhage":
        r = rng.uniform(3.0, 5.0)
        at = _nearest(t, (sign * NOTCH[0], NOTCH[1], NOTCH[2]))
        return [(_ball(world, at, (r, 1.5 * r, r), 0.6 * warp), np.full_like(signal, look.blood))]
    if plan.kind == "tentorial_haemorrhage":
        a, b = LEAF[0] + rng.uniform(-4, 4), LEAF[1] + rng.uniform(-6, 6)
        spread = scale * np.hypot(x - sign * a, y - b)
        sheet = scale * np.abs(z - tentorium_height(x, y)) * 0.9
        leaf = soft_step(rng.uniform(8, 12) - spread * (1 + 0.2 * warp), 1.2)
        opacity = leaf * soft_step(rng.uniform(1.5, 2.3) * (1 + 0.2 * warp) - sheet, 1.0)
        return [(opacity, np.full_like(signal, look.blood))]
    raise LesionError(f"{plan.kind}: not a lesion to paint; expected one of {', '.join(SIGN)}")


def paint_lesions(
    plans: tuple[Plan, ...],
    tissues: Tissues,
    signal: Array,
    affine: NDArray[np.float64],
    rng: np.random.Generator,
    look: Look = T2_LOOK,
) -> Lesions:
    """Repaint a noise-free signal (X, Y, Z).

    Parameters
    ----------
    plans: the lesions, painted in order; those that are a change of shape are left out here.
    tissues: the head, on the grid of ``signal``.
    affine: (4, 4), voxel index to mm.
    rng: the same generator gives the same places and shapes in every contrast.
    look: the contrast.

    Raises
    ------
    LesionError
        For an unknown kind, or where no tissue of the wanted side can hold the lesion.
    """
    unknown = [plan.kind for plan in plans if plan.kind not in SIGN]
    if unknown:
        raise LesionError(f"{unknown[0]}: unknown kind; expected one of {', '.join(SIGN)}")
    spacing = float(np.linalg.norm(affine[:3, :3], axis=0).mean())
    ijk = np.stack(np.unravel_index(tissues.index, tissues.grid)).astype(np.float32)
    world = affine[:3, :3].astype(np.float32) @ ijk
    values = signal.reshape(-1)[tissues.index]
    labels = np.zeros(values.shape, np.uint8)
    done: list[Plan] = []
    for plan in plans:
        if plan.kind in RESHAPING:
            continue
        warp = slow_field(rng, tissues.grid, spacing, 6.0).reshape(-1)[tissues.index]
        for opacity, target in _repaint(plan, tissues, values, world, warp, tissues.scale, look, rng):
            # Cut the long tails of the soft edges: far from the lesion no voxel changes.
            opacity = np.where(opacity > 0.02, opacity, 0) * tissues.brain
            change = opacity * (target - values)
            # Only where the lesion has its sign: blood doesn't brighten what is darker still.
            change = np.maximum(change, 0) if look.sign[plan.kind] > 0 else np.minimum(change, 0)
            values = values + change
            done.append(plan)
            labels[(opacity > 0.5) & (change != 0)] = len(done)
    return Lesions(
        tissues.volume(values), tissues.volume(labels.astype(np.float32)).astype(np.uint8), tuple(done)
    )
