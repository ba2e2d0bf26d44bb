"""The |z| at which a map is cut for Dice, chosen on lesions implanted into validation normals alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.anomaly.detector import Detector, views_of, z_of
from core.anomaly.intensity import log_intensity
from core.anomaly.left_out import left_out_detectors
from core.anomaly.library import SAME, Library, coarse, grid_factor
from core.anomaly.normative import Normative, fit_normative
from core.anomaly.residual import AnomalyError, Array
from core.evaluation.baselines import TRAINING, Cube, Normalisation, Scorer
from core.evaluation.implants import KINDS, implant
from core.evaluation.measure import Row, kept_row, z_map
from core.evaluation.metrics import BIN_Z, BINS, dice_curve, score_histograms
from core.evaluation.statistics import EvaluationError
from core.prepared import content_key
from core.preprocess.pipeline import ONE_CHANNEL

SCHEMA = 3
LEAST_NORMALS = 3
EACH = 4  # kinds of lesion for each normal, in turn: of 9 normals and 9 kinds, each kind 4 times
SEED = 0
Score = Callable[[Cube, Array], Array]  # a scan and its residual to z (N, N, N)


@dataclass(frozen=True)
class Threshold:
    """``z``: what counts as flagged; NaN where none could be chosen, and ``source`` says why."""

    z: float
    dice: float  # mean on the implants that chose it
    source: str  # for people


Thresholds = Mapping[tuple[str, str], Threshold]  # by scorer and map


def no_threshold(why: str) -> Threshold:
    return Threshold(float("nan"), float("nan"), why)


def dice_at(histograms: Sequence[Sequence[int]], z: float) -> float:
    """Dice of |score| ≥ ``z`` from ``score_histograms``, ``z`` to the nearest bin of 0.02; NaN for NaN."""
    if not np.isfinite(z):
        return float("nan")
    curve = dice_curve(np.asarray(histograms, np.int64))
    return float(curve[min(round(z / BIN_Z), len(curve) - 1)])


def assigned(normals: int, seed: int = SEED, each: int = EACH) -> list[tuple[int, str]]:
    """Which kinds are implanted into which normal: ``each`` a normal, all kinds alike often, seeded."""
    order = np.random.default_rng(seed).permutation(list(KINDS))
    return [
        (normal, str(order[(normal * each + place) % len(order)]))
        for normal in range(normals)
        for place in range(each)
    ]


def place_in(library: Library, log: Array, mask: NDArray[np.bool_]) -> int | None:
    """Index of the library's normal that a scan is, by its voxels; None where it is none of them."""
    apart = [
        float(np.abs(library.normal(index)[0] - log)[mask].mean()) for index in range(len(library.values))
    ]
    nearest = int(np.argmin(apart))
    return nearest if apart[nearest] <= SAME else None


def _holds(normative: Normative, residuals: Sequence[Array]) -> bool:
    """Whether these normals' residuals are in mean and SD: unless most are not in its own list of MSEs.

    A copy that stands against another site's normals knows none of this cohort's. To a hundredth, since
    devices differ; so one MSE alone says nothing.
    """
    known = np.asarray(normative.validation.get("mse", ()), np.float64)
    if known.size == 0:
        return True
    mine = np.array([np.mean(np.square(one, dtype=np.float64)) for one in residuals])
    return bool(np.isclose(mine[:, None], known, rtol=1e-2, atol=0).any(axis=1).mean() > 0.5)


def left_out(
    name: str, against: Normalisation, held_out: Sequence[Cube], residuals: Sequence[Array]
) -> list[Score]:
    """How a lesion in each of the held-out normals is scored, the normal itself left out.

    A normative map of these normals is fitted again without it; a map of training normals or of another
    site's, and the z within the volume, hold none of them. A detector neither matches it to itself nor has
    it in the mean and SD of its maps (``left_out_detectors``); it stays one of the scans of their scales and
    tails, and of local contrast's mean and SD.

    Raises
    ------
    AnomalyError
        On fewer than 3 normals for a normative map of them.
    """
    if isinstance(against, Detector):
        return _of_detector(against, held_out)
    if against is None or name == TRAINING or not _holds(against, residuals):
        return [lambda cube, residual: z_map(residual, against, cube)] * len(held_out)
    masks = [cube.mask for cube in held_out]
    models = fit_normative(residuals, masks, against.voxel_mm, against.smooth_z_mm)[1]
    return [partial(_of_normative, model) for model in models]


def _of_normative(model: Normative, cube: Cube, residual: Array) -> Array:
    return z_map(residual, model, cube)


def _of_detector(detector: Detector, held_out: Sequence[Cube]) -> list[Score]:
    factor = grid_factor(detector.voxel_mm)
    places = [
        place_in(detector.library, *coarse(log_intensity(one.x, one.mask), one.mask, factor))
        for one in held_out
    ]
    count = max((place + 1 for place in places if place is not None), default=0)
    blind = left_out_detectors(detector, count) if count else []
    return [partial(_by_detector, detector if place is None else blind[place], place) for place in places]


def _by_detector(detector: Detector, place: int | None, cube: Cube, residual: Array) -> Array:
    contrast = None if detector.fine is None else cube.contrast
    return z_of(detector, views_of(detector, cube.x, cube.mask, cube.x - residual, place, contrast))


def choose(scorer: Scorer, held_out: Sequence[Cube], seed: int = SEED, each: int = EACH) -> Row:
    """For each map of a scorer the |z| of highest mean Dice over implants, as JSON.

    The mean is over kinds, of the mean of each kind; of equal ones the lowest |z| is taken. An implant for
    which a scan has no place is left out; ``implants`` tells how many there were. A map that can't be made
    of an implant has ``failed``, why, in place of numbers.

    Raises
    ------
    EvaluationError, AnomalyError, ModelError
        Where normals are too few, no implant can be made, or the scorer sees more than the T2w.
    """
    if len(held_out) < LEAST_NORMALS:
        raise EvaluationError(
            f"{len(held_out)} validation normals; {LEAST_NORMALS} or more are needed to choose a threshold"
        )
    if scorer.channels != ONE_CHANNEL:
        raise EvaluationError(
            f"lesions are implanted into the T2w alone, {scorer.name} sees {' and '.join(scorer.channels)}"
        )
    plain = [scorer.residual(cube.x, cube.mask) for cube in held_out]
    maps = {name: left_out(name, against(), held_out, plain) for name, against in scorer.maps.items()}
    curves: dict[str, dict[str, list[NDArray[np.float64]]]] = {name: {} for name in maps}
    failed: dict[str, str] = {}
    count, refused = 0, ""
    for normal, kind in assigned(len(held_out), seed, each):
        try:
            made = implant(held_out[normal], kind, seed + normal)
        except EvaluationError as error:
            refused = str(error)
            continue
        count += 1
        residual = scorer.residual(made.cube.x, made.cube.mask)
        truth = made.labels[made.cube.mask] > 0
        for name, scores in maps.items():
            try:
                z = scores[normal](made.cube, residual)
            except AnomalyError as error:
                failed[name] = str(error)
                continue
            counts = np.asarray(score_histograms(np.abs(z[made.cube.mask]), truth))
            curves[name].setdefault(kind, []).append(dice_curve(counts))
    if count == 0:
        raise EvaluationError(f"no lesion could be implanted into the validation normals: {refused}")
    found: dict[str, Row] = {name: {"failed": why} for name, why in failed.items()}
    for name, kinds in curves.items():
        if name in failed:
            continue
        mean = np.mean([np.mean(of_kind, axis=0) for of_kind in kinds.values()], axis=0)
        best = int(mean.argmax())
        found[name] = {"z": round(best * BIN_Z, 4), "dice": float(mean[best])}
    return {"maps": found, "implants": count, "normals": len(held_out)}


def choice_key(scorer: Scorer, prepared: Sequence[str], seed: int = SEED, each: int = EACH) -> str:
    """Content address of a choice: scorer, the normals' preparations in their order, implants, bins."""
    return content_key(
        {
            "schema": SCHEMA,
            "scorer": scorer.key,
            "prepared": list(prepared),
            "kinds": list(KINDS),
            "seed": seed,
            "each": each,
            "bins": [BIN_Z, BINS],
        }
    )


def chosen(
    scorer: Scorer, prepared: Sequence[str], held_out: Callable[[], Sequence[Cube]], cache: Path
) -> dict[str, Threshold]:
    """``choose`` by map, from the cache where it was chosen on the same scans before.

    Raises
    ------
    EvaluationError, AnomalyError, ModelError
        As ``choose``.
    """
    row = kept_row(cache, choice_key(scorer, prepared), lambda: choose(scorer, held_out()))
    source = f"{row['implants']} implants in {row['normals']} validation normals"
    return {
        name: no_threshold(one["failed"]) if "failed" in one else Threshold(one["z"], one["dice"], source)
        for name, one in row["maps"].items()
    }
