"""One synthetic newborn-like subject: who it is (``Spec``), and its scan, mask and lesions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from core.demo.anatomy import Shape, Tissues, build, rotation
from core.demo.contrast import RIM_MM, Contrast, acquire, contrast_at, paint, t1_contrast_at
from core.demo.lesions import (
    RESHAPING,
    SIGN,
    T1_LOOK,
    Kind,
    Lesions,
    Plan,
    new_fluid,
    paint_lesions,
    reshape,
)
from core.demo.template import TISSUE_ML
from core.io.volume import Volume

Split = Literal["train", "validation", "test"]
ORIENTATIONS = ("RAS", "LAS", "LPS", "RSA", "ASR", "PIL", "LAS", "RAS")
# What the abnormal test cases carry, in turn; the first nine cover every kind.
FINDINGS: tuple[tuple[Kind, ...], ...] = (
    ("punctate_bright",),
    ("punctate_dark",),
    ("diffuse_white_matter",),
    ("cyst",),
    ("infarct",),
    ("germinal_matrix_haemorrhage",),
    ("tentorial_haemorrhage",),
    ("ventriculomegaly",),
    ("volume_loss",),
    ("cyst", "punctate_dark"),
    ("germinal_matrix_haemorrhage", "ventriculomegaly"),
    ("infarct", "diffuse_white_matter"),
)


class DemoError(ValueError):
    """A subject or setting that the cohort doesn't have."""


@dataclass(frozen=True)
class DemoSettings:
    """Size of the cohort. ``coarsen`` multiplies voxel size (tests)."""

    seed: int = 20230717
    train: int = 80
    validation: int = 9
    test_normal: int = 12
    test_abnormal: int = 12
    coarsen: float = 1.0

    @property
    def count(self) -> int:
        return self.train + self.validation + self.test_normal + self.test_abnormal


@dataclass(frozen=True)
class Spec:
    """Who a subject is. Numbered from 1: training, validation, then test in random order."""

    number: int
    split: Split
    age: float  # postmenstrual weeks at scan
    sex: Literal["F", "M"]
    plans: tuple[Plan, ...]

    @property
    def subject(self) -> str:
        return f"sub-synth{self.number:03d}"

    @property
    def session(self) -> str:
        return "ses-01"

    @property
    def radiology_score(self) -> int:
        """1 normal, 5 abnormal, as in the paper."""
        return 5 if self.plans else 1


@dataclass(frozen=True)
class Finding:
    """One lesion as made; the label is its value in the lesion map. Centroid in RAS+ mm of the scan."""

    label: int
    type: str
    sign: int
    side: str
    volume_mm3: float
    x_mm: float
    y_mm: float
    z_mm: float


@dataclass(frozen=True, eq=False)
class SyntheticSubject:
    """Scan, brain mask (0/1) and lesion map (0, 1, 2, …) on one grid, and what is known about them."""

    spec: Spec
    volume: Volume
    mask: Volume
    lesions: Volume
    findings: tuple[Finding, ...]
    shape: Shape
    contrast: Contrast


def _streams(settings: DemoSettings, number: int) -> list[np.random.SeedSequence]:
    """The subject's own seeds: person, head, scanner, lesions. Independent of how many others there are."""
    return np.random.SeedSequence(settings.seed, spawn_key=(number,)).spawn(4)


def spec_of(number: int, settings: DemoSettings) -> Spec:
    """Who subject ``number`` (from 1) is.

    Raises
    ------
    DemoError
        Where the cohort has no such number.
    """
    if not 1 <= number <= settings.count:
        raise DemoError(f"subject {number}: expected 1 to {settings.count}")
    normals = settings.train + settings.validation
    split: Split = "train" if number <= settings.train else "validation" if number <= normals else "test"
    rng = np.random.default_rng(_streams(settings, number)[0])
    age = round(float(np.clip(rng.normal(40, 1.9), 36, 44)), 1)
    sex: Literal["F", "M"] = "F" if rng.random() < 0.5 else "M"
    plans: tuple[Plan, ...] = ()
    if split == "test":
        order = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(0,)))
        place = int(order.permutation(settings.test_normal + settings.test_abnormal)[number - normals - 1])
        if place < settings.test_abnormal:
            side: Literal["left", "right"] = "left" if rng.random() < 0.5 else "right"
            plans = tuple(
                Plan(kind, "both" if kind == "ventriculomegaly" else side)
                for kind in FINDINGS[place % len(FINDINGS)]
            )
    return Spec(number, split, age, sex, plans)


def _draw_shape(spec: Spec, seed: np.random.SeedSequence) -> Shape:
    rng = np.random.default_rng(seed)
    # Brain tissue: 300 ml at 36 weeks to 450 ml at 44, boys a little larger.
    ml = (300 + 18.75 * (spec.age - 36)) * rng.normal(1, 0.05) * (1.03 if spec.sex == "M" else 0.98)
    size = (ml / TISSUE_ML) ** (1 / 3)
    long = rng.normal(0, 0.025)
    scale = size * np.exp(np.array([-long, long, 0]) + rng.normal(0, 0.015, 3))
    wall, asymmetry, fluid = rng.normal(0.0, 0.4), rng.normal(0, 0.2), rng.uniform(0.2, 1.3)
    variant = rng.random()
    if variant < 0.12:  # prominent fluid spaces
        fluid += rng.uniform(0.8, 1.8)
        wall += 0.4
    elif variant < 0.24:  # one ventricle larger
        asymmetry += rng.choice([-1, 1]) * rng.uniform(0.5, 0.8)
    tilt, shift = rng.normal(0, 4, 3).clip(-8, 8), rng.normal(0, 1, 3).clip(-2, 2) * [0.6, 5, 5]
    tilt[1:] *= 0.6
    return Shape(
        scale=cast(tuple[float, float, float], tuple(float(s) for s in scale)),
        tilt=cast(tuple[float, float, float], tuple(float(a) for a in tilt)),
        shift=cast(tuple[float, float, float], tuple(float(d) for d in shift)),
        ventricle=(float(wall + asymmetry), float(wall - asymmetry)),
        fluid=(float(max(fluid + rng.normal(0, 0.15), 0)), float(max(fluid + rng.normal(0, 0.15), 0))),
        sharpness=float(rng.uniform(1.6, 2.4)),
        seed=int(rng.integers(2**31)),
    )


def _draw_scanner(
    spec: Spec, rng: np.random.Generator, coarsen: float
) -> tuple[Contrast, NDArray[np.float64], NDArray[np.float64], tuple[str, str, str]]:
    """Contrast, voxel size (3,), rotation of the grid (3, 3) and stored axis order."""
    contrast = contrast_at(
        spec.age + rng.normal(0, 0.5),
        texture=float(rng.uniform(0.025, 0.045)),
        bias=float(rng.uniform(0.05, 0.15)),
        noise=float(rng.uniform(0.010, 0.025)),
        blur=float(rng.uniform(0.35, 0.6)),
        gain=float(rng.uniform(600, 1500)),
    )
    spacing = np.full(3, rng.uniform(0.9, 1.1))
    if rng.random() < 0.25:
        spacing = spacing * [0.93, 0.93, 1.2]
    oblique = rotation(cast(tuple[float, float, float], tuple(rng.normal(0, 2.5, 3).clip(-6, 6))))
    stored = ORIENTATIONS[int(rng.integers(len(ORIENTATIONS)))]
    return contrast, spacing * coarsen, oblique, cast(tuple[str, str, str], tuple(stored))


def _grid(
    shape: Shape, spacing: NDArray[np.float64], turn: NDArray[np.float64]
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Voxels and affine (4, 4) of a field of view that holds brain and scalp."""
    low = np.array([72, 92, 78]) * shape.scale + RIM_MM + 7
    high = np.array([72, 93, 80]) * shape.scale + RIM_MM + 7
    count = np.ceil((low + high) / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = np.array(shape.shift) - turn @ ((high + low) / 2 - (high - low) / 2)
    return (int(count[0]), int(count[1]), int(count[2])), affine


def _findings(lesions: Lesions, affine: NDArray[np.float64]) -> tuple[Finding, ...]:
    volume = float(abs(np.linalg.det(affine[:3, :3])))
    rows = []
    for label, plan in enumerate(lesions.plans, 1):
        voxels = np.argwhere(lesions.labels == label)
        if len(voxels):
            x, y, z = (float(v) for v in np.round(affine[:3, :3] @ voxels.mean(0) + affine[:3, 3], 2))
            size = round(len(voxels) * volume, 1)
            rows.append(Finding(label, plan.kind, SIGN[plan.kind], plan.side, size, x, y, z))
    return tuple(rows)


@dataclass(frozen=True, eq=False)
class _Head:
    """A subject's anatomy on its scan's grid, before any contrast; the seeds of what follows."""

    spec: Spec
    contrast: Contrast
    spacing: NDArray[np.float64]
    affine: NDArray[np.float64]
    stored: tuple[str, str, str]
    plans: tuple[Plan, ...]
    shape: Shape
    before: Tissues  # without the lesions that change the shape
    tissues: Tissues
    lesion_rng: np.random.Generator  # as it stands after these
    seeds: list[np.random.SeedSequence]  # texture, T2 acquisition, T1 acquisition


def _head(number: int, settings: DemoSettings, lesions: bool) -> _Head:
    spec = spec_of(number, settings)
    _, head_seed, scanner_seed, lesion_seed = _streams(settings, number)
    shape = _draw_shape(spec, head_seed)
    contrast, spacing, turn, stored = _draw_scanner(
        spec, np.random.default_rng(scanner_seed), settings.coarsen
    )
    grid, affine = _grid(shape, spacing, turn)
    before = tissues = build(shape, grid, affine, RIM_MM)
    rng = np.random.default_rng(lesion_seed)
    plans = spec.plans if lesions else ()
    for plan in plans:
        shape = reshape(shape, plan, rng)
    if any(plan.kind in RESHAPING for plan in plans):
        tissues = build(shape, grid, affine, RIM_MM)
    seeds = scanner_seed.spawn(3)
    return _Head(spec, contrast, spacing, affine, stored, plans, shape, before, tissues, rng, seeds)


def make_subject(number: int, settings: DemoSettings | None = None, lesions: bool = True) -> SyntheticSubject:
    """Make subject ``number`` (from 1). The same number and seed give the same voxels.

    Parameters
    ----------
    number: 1 to ``settings.count``.
    settings: the cohort; its default is the demo's.
    lesions: False leaves them out: the same head, scanner and noise.

    Raises
    ------
    DemoError
        Where the cohort has no such number.
    """
    head = _head(number, settings or DemoSettings(), lesions)
    tissues, affine, contrast = head.tissues, head.affine, head.contrast
    texture, acquisition, _ = head.seeds
    signal = paint(tissues, contrast, np.random.default_rng(texture), float(head.spacing.mean()))
    done = paint_lesions(head.plans, tissues, signal, affine, head.lesion_rng)
    # The painted lesions keep their labels; what became fluid comes after them.
    for plan in head.plans:
        if plan.kind in RESHAPING:
            fluid = tissues.volume(new_fluid(plan, head.before, tissues).astype(np.float32)) > 0
            labels = np.where(fluid & (done.labels == 0), np.uint8(len(done.plans) + 1), done.labels)
            done = replace(done, labels=labels, plans=(*done.plans, plan))
    voxels = np.round(acquire(done.signal, contrast, np.random.default_rng(acquisition), head.spacing))
    volume = Volume(voxels, affine, head.stored)
    return SyntheticSubject(
        head.spec,
        volume,
        volume.with_data(tissues.volume(tissues.brain.astype(np.float32))),
        volume.with_data(done.labels.astype(np.float32)),
        _findings(done, affine),
        head.shape,
        contrast,
    )


def make_t1w(number: int, settings: DemoSettings | None = None, lesions: bool = True) -> Volume:
    """T1-weighted scan of subject ``number`` on its T2w's grid, with the same lesions as T1 shows them.

    Raises
    ------
    DemoError
        Where the cohort has no such number.
    """
    head = _head(number, settings or DemoSettings(), lesions)
    rng = np.random.default_rng(head.seeds[2])
    contrast = t1_contrast_at(
        head.spec.age + rng.normal(0, 0.5),
        texture=head.contrast.texture,
        bias=float(rng.uniform(0.05, 0.15)),
        noise=float(rng.uniform(0.012, 0.03)),
        blur=float(rng.uniform(0.35, 0.6)),
        gain=float(rng.uniform(600, 1500)),
    )
    texture = np.random.default_rng(head.seeds[0])
    signal = paint(head.tissues, contrast, texture, float(head.spacing.mean()))
    done = paint_lesions(head.plans, head.tissues, signal, head.affine, head.lesion_rng, T1_LOOK)
    return Volume(np.round(acquire(done.signal, contrast, rng, head.spacing)), head.affine, head.stored)
