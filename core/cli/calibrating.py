"""What ``train`` and ``calibrate`` share: normals by split, prepared; a model's folder calibrated on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.anomaly.bands import REGION_BANDS
from core.anomaly.detector_file import save_detector
from core.anomaly.normative import Normative, false_alarms, save_normative
from core.anomaly.operating import FILE as OPERATING
from core.calibration import calibrate, calibrate_detector
from core.case import AnalyzeSettings
from core.cli.console import UsageError, bar
from core.cli.prepare import Source, Task, prepare_all, waiting
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import MAP_NAMES, CasePaths
from core.networks.card import model_card
from core.networks.config import AnyConfig
from core.networks.zoo import DETECTOR, NORMATIVE, ModelInfo
from core.predictor import predictor
from core.preprocess.pipeline import PrepareSettings


def split_of(scans: Sequence[Scan], split: str, data: Path, least: int) -> list[Scan]:
    """The scans of one split, none of them abnormal.

    Raises
    ------
    UsageError
        Where there are fewer than ``least``, or one has a radiology score other than 1 (Q is none either).
    """
    chosen = [scan for scan in scans if scan.split == split]
    if len(chosen) < least:
        raise UsageError(
            f"{data}: {len(chosen)} scans with split {split!r}; expected {least} or more (from "
            "`python -m core cohort import`; the demo's come with `python -m core demo --which all`)"
        )
    check_normals(chosen, data, f" of split {split!r}")
    return chosen


def check_normals(scans: Sequence[Scan], data: Path, of: str = "") -> None:
    """Refuse scans that are said to be abnormal or of poor image quality; ``of`` goes on after the subject.

    Raises
    ------
    UsageError
        Naming the first one that has a radiology score other than 1 (Q is none either).
    """
    for scan in scans:
        if scan.poor_quality or scan.radiology_score not in (None, 1):
            score = "Q (poor image quality)" if scan.poor_quality else scan.radiology_score
            raise UsageError(
                f"{data}: {scan.subject}{of} has radiology score {score}; expected normals (1) only"
            )


def prepare_split(
    scans: Sequence[Scan], source: Source, options: PrepareSettings, root: Path, jobs: int
) -> list[CasePaths]:
    """Prepare what is not prepared yet; one scan that fails stops the command.

    Raises
    ------
    UsageError
        Naming the scan that failed, or those that lack a channel.
    """
    for channel in options.channels[1:]:
        if lacking := [f"{scan.subject}_{scan.session}" for scan in scans if scan.t1w is None]:
            raise UsageError(
                f"{len(lacking)} of {len(scans)} scans have no {channel}, first {', '.join(lacking[:5])}; "
                f"expected one beside each T2w, since the network sees both (the demo's come with "
                "`python -m core demo --which all --t1w`)"
            )
    tasks = [Task(scan, source, root, options) for scan in scans]
    if left := waiting(tasks):
        _, errors = prepare_all(left, jobs)
        if errors:
            case, error = next(iter(errors.items()))
            raise UsageError(f"{case}: {error}") from error
    return [task.paths for task in tasks]


def calibrated(
    info: ModelInfo,
    normals: Sequence[CasePaths],
    options: AnalyzeSettings,
    device: str,
    more: Sequence[CasePaths] = (),
    jobs: int = 1,
) -> Normative:
    """Calibrate a model folder: write its normative.npz, a restorer's detector.npz, and say so in its card.

    ``more``: normals beyond the held-out ones, prepared, that a detector may be fitted on too; ``jobs``:
    scans deformed at a time.
    """
    model = predictor(info, device)
    with bar("calibrate", 1) as shown:
        normative = calibrate(model, normals, options, lambda step, fraction: shown.at(fraction, step))
    if info.config.kind == "restorer":
        with bar("fused map", 1) as shown:
            detector, normative = calibrate_detector(
                model,
                normals,
                normative,
                more,
                options,
                lambda step, fraction: shown.at(fraction, step),
                jobs,
            )
        save_detector(detector, info.folder / DETECTOR)
    save_normative(normative, info.folder / NORMATIVE)
    # A point chosen on the flags of an older calibration means nothing now.
    (info.folder / OPERATING).unlink(missing_ok=True)
    card = card_of(info.config, info.training, info.preprocess, info.synthetic, normative)
    write_bytes(info.folder / "MODEL_CARD.md", card.encode())
    return normative


def facts(normative: Normative) -> dict[str, str]:
    """What the card tells of a calibration."""
    rates = false_alarms(normative, MAP_NAMES, normative.floor_mm3)
    found = {
        "Held-out normals": f"{normative.n}, each left out of its own mean and SD",
        "Smoothing of the normative z": f"σ {normative.smooth_z_mm:g} mm",
        "Smallest region": f"{normative.floor_mm3:g} mm³",
        "MSE": " to ".join(f"{edge(normative.validation['mse']):.5f}" for edge in (np.min, np.max)),
    }
    for name, bands in rates.items():
        rate = ", ".join(f"{bands[band]:.1f} of {band}" for band in REGION_BANDS)
        found[f"Regions a normal scan, {name} map"] = rate
    return found


def card_of(
    config: AnyConfig,
    training: dict[str, Any],
    preprocess: dict[str, Any],
    synthetic: bool,
    normative: Normative | None = None,
) -> str:
    told = None if normative is None else facts(normative)
    return model_card(config, training, preprocess, synthetic=synthetic, normative=told)
