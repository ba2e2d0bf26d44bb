"""What a network must beat: intensities against normals with no network, principal components, nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from core.anomaly.contrast import FINE_MM, NARROW_MM, WIDE_MM
from core.anomaly.deformed import GRID_MM, MOST_NORMALS, fit_deformed, small_log
from core.anomaly.detector import SMOOTH_MM, Detector, fit_detector
from core.anomaly.intensity import LOG_RANGE, log_intensity
from core.anomaly.library import coarse, grid_factor, spread_over
from core.anomaly.normative import SMOOTH_Z_MM, Normative, fit_normative
from core.anomaly.residual import Array, Mask
from core.anomaly.views import NormalScan
from core.evaluation.statistics import EvaluationError
from core.predictor import Predictor
from core.prepared import content_key
from core.preprocess.fine import FineScan
from core.preprocess.pipeline import ONE_CHANNEL, PrepareSettings

COMPONENTS = 32  # of the 80 normals' at most 79
VOLUME = "volume"  # z within the volume: needs no normals
# Names of the normative maps by what their mean and SD come from.
HELD_OUT, TRAINING = "normative", "normative_train"
FUSED = "fused"  # several views joined
Residual = Callable[[Array, Mask], Array]
Normalisation = Normative | Detector | None  # what makes a z of a residual; None: its own volume


@dataclass(frozen=True, eq=False)
class Cube:
    """A prepared scan as a scorer needs it."""

    x: Array  # (N, N, N) in [0, 1]
    mask: Mask
    affine: np.ndarray  # (4, 4), reference world
    scan_to_reference: np.ndarray  # (4, 4), mm to mm
    key: str  # of its preparation
    extra: Mapping[str, Array] = field(default_factory=dict)  # (N, N, N) of channels beyond the T2w, by name
    fine: Callable[[], FineScan] | None = None  # reads the scan near 1 mm, where it is at hand

    def seen(self, channels: tuple[str, ...]) -> Array:
        """What a network of these channels sees: x, or (C, N, N, N) with the T2w first."""
        if channels == ONE_CHANNEL:
            return self.x
        return np.stack([self.x, *(self.extra[name] for name in channels[1:])])

    @property
    def contrast(self) -> Array | None:
        """Local contrast near 1 mm, on the library's grid; None where the scan is not at hand."""
        return None if self.fine is None else self.fine().contrast

    @property
    def voxel_mm(self) -> float:
        """Isotropic spacing."""
        return float(abs(self.affine[0, 0]))


@dataclass(frozen=True, eq=False)
class Scorer:
    """Something that turns a prepared scan into z maps."""

    name: str
    key: str  # content address: what it was fitted on and how
    rebuilds: bool  # its residual is that of a reconstruction, so that the paper's MSE means something
    residual: Residual  # (N, N, N) and its mask to (N, N, N)
    maps: Mapping[str, Callable[[], Normalisation]]
    channels: tuple[str, ...] = ONE_CHANNEL  # with more, ``residual`` is of ``Cube.seen``
    prepare: PrepareSettings | None = None  # how its scans are made; None: as those it was fitted on
    reference: str = ""  # as ``Predictor.reference``


def network_scorer(model: Predictor) -> Scorer:
    """A model of the zoo: x − x̂ as z in its volume, against its own held-out normals, and joined."""
    maps: dict[str, Callable[[], Normalisation]] = {VOLUME: lambda: None}
    if model.normative is not None:
        maps[HELD_OUT] = lambda: model.normative
    if model.detector is not None:
        maps[FUSED] = lambda: model.detector
    key = content_key({"model": model.name, "hash": model.hash})
    channels = model.prepare.channels
    return Scorer(
        model.name,
        key,
        True,
        lambda x, mask: x - model.reconstruct(x),
        maps,
        channels,
        model.prepare,
        model.reference,
    )


@dataclass(frozen=True, eq=False)
class Components:
    """Mean and leading principal components of normals, over the voxels of ``support``."""

    support: Mask  # (N, N, N)
    mean: Array  # (V,)
    basis: Array  # (k, V), orthonormal

    def reconstruct(self, x: Array) -> Array:
        """Projection of x (N, N, N) on mean and components; x itself outside the support."""
        values = x[self.support] - self.mean
        rebuilt = x.astype(np.float32, copy=True)
        rebuilt[self.support] = self.mean + (self.basis @ values) @ self.basis
        return rebuilt


def fit_components(cubes: Sequence[Cube], count: int = COMPONENTS) -> Components:
    """Principal components of normals (n of them), at most n − 1.

    Raises
    ------
    EvaluationError
        On fewer than two normals.
    """
    if len(cubes) < 2:
        raise EvaluationError(f"principal components of {len(cubes)} normals; expected 2 or more")
    support = np.any([cube.mask for cube in cubes], axis=0)
    stack = np.stack([cube.x[support] for cube in cubes]).astype(np.float32)
    mean = stack.mean(axis=0)
    _, values, rows = np.linalg.svd(stack - mean, full_matrices=False)
    kept = min(count, int((values > 1e-6 * values[0]).sum()))
    return Components(support, mean, np.ascontiguousarray(rows[:kept]))


def fit_on(
    residual: Residual, cubes: Callable[[], Sequence[Cube]], smooth_z_mm: float = SMOOTH_Z_MM
) -> Normative:
    """Voxel-wise mean and SD of ``residual`` in normals, exactly as models are calibrated."""
    normals = cubes()
    values = [residual(cube.x, cube.mask) for cube in normals]
    return fit_normative(values, [cube.mask for cube in normals], normals[0].voxel_mm, smooth_z_mm)[0]


def network_free_detector(training: Sequence[Cube], held_out: Sequence[Cube]) -> Detector:
    """Log intensity, patches, deformed normals and local contrast, joined as calibration does; no network."""
    mm = held_out[0].voxel_mm
    normals = [NormalScan(cube.x, cube.mask, contrast=cube.contrast) for cube in held_out]
    more = [NormalScan(cube.x, cube.mask) for cube in training]
    contrasts = [
        (contrast, coarse(cube.x, cube.mask, grid_factor(mm))[1])
        for cube in training
        if (contrast := cube.contrast) is not None
    ]
    deformed = fit_deformed(
        [small_log(cube.x, cube.mask, mm) for cube in held_out],
        [small_log(cube.x, cube.mask, mm) for cube in spread_over(training, MOST_NORMALS)],
        mm,
        SMOOTH_MM,
    )
    return fit_detector(normals, mm, more, power=2.0, contrasts=contrasts, deformed=deformed)[0]


def baseline_scorers(
    training: Callable[[], Sequence[Cube]], held_out: Callable[[], Sequence[Cube]], key: str
) -> list[Scorer]:
    """The baselines; nothing is read or fitted before a scan is scored.

    Intensity and log intensity stand against the training normals and, as the networks do, against the
    held-out normals alone; log intensity is also joined with patches of normals and deformed normals. The
    components come from the training normals, their normative map from the held-out ones. ``key`` addresses
    the content of both groups.
    """

    def plain(x: Array, mask: Mask) -> Array:
        return x

    def nothing(x: Array, mask: Mask) -> Array:
        return np.zeros_like(x)

    @cache
    def components() -> Components:
        return fit_components(training())

    def rest(x: Array, mask: Mask) -> Array:
        return x - components().reconstruct(x)

    def scorer(name: str, residual: Residual, fits: Sequence[str], rebuilds: bool) -> Scorer:
        groups = {HELD_OUT: held_out, TRAINING: training}
        maps: dict[str, Callable[[], Normalisation]] = {VOLUME: lambda: None}
        for fit in fits:
            maps[fit] = cache(lambda fit=fit: fit_on(residual, groups[fit]))
        if name == "log_intensity":
            maps[FUSED] = cache(lambda: network_free_detector(training(), held_out()))
        address = content_key(
            {
                "name": name,
                "normals": key,
                "log": LOG_RANGE,
                "components": COMPONENTS,
                "smooth": SMOOTH_Z_MM,
                "contrast": [FINE_MM, NARROW_MM, WIDE_MM],
                "deformed": [GRID_MM, MOST_NORMALS],
                "maps": list(maps),
            }
        )
        return Scorer(name, address, rebuilds, residual, maps)

    return [
        scorer("identity", nothing, (), True),
        scorer("intensity", plain, (HELD_OUT, TRAINING), False),
        scorer("log_intensity", log_intensity, (HELD_OUT, TRAINING), False),
        scorer("pca", rest, (HELD_OUT,), True),
    ]
