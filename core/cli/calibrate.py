"""``calibrate``: what a model's residuals are in held-out normals, kept in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from core.anomaly.bands import REGION_BANDS
from core.anomaly.detector import picks, save_detector
from core.anomaly.normative import SMOOTH_Z_MM, Normative, false_alarms, load_normative, save_normative
from core.anomaly.operating import FILE as OPERATING
from core.anomaly.regions import FLOOR_MM3
from core.calibration import calibrate, calibrate_detector
from core.case import AnalyzeSettings
from core.cli.console import UsageError, bar, say, say_json
from core.cli.feedback import operating_copy
from core.cli.prepare import Source, Task, prepare_all, waiting
from core.cli.site import site_copy
from core.cli.sources import model_named, scans_of
from core.config import settings
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import MAP_NAMES, CasePaths
from core.networks.card import model_card
from core.networks.config import AnyConfig
from core.networks.zoo import DETECTOR, NORMATIVE, ModelInfo
from core.predictor import predictor
from core.preprocess.pipeline import PrepareSettings, settings_from_dict


def split_of(scans: Sequence[Scan], split: str, data: Path, least: int) -> list[Scan]:
    """The scans of one split, none of them abnormal.

    Raises
    ------
    UsageError
        Where there are fewer than ``least``, or one has a radiology score other than 1.
    """
    chosen = [scan for scan in scans if scan.split == split]
    if len(chosen) < least:
        raise UsageError(
            f"{data}: {len(chosen)} scans with split {split!r}; expected {least} or more (from "
            "`python -m core cohort import`; the demo's come with `python -m core demo --which all`)"
        )
    if bad := [scan for scan in chosen if scan.radiology_score not in (None, 1)]:
        raise UsageError(
            f"{data}: {bad[0].subject} of split {split!r} has radiology score {bad[0].radiology_score}; "
            "expected normals (1) only"
        )
    return chosen


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
) -> Normative:
    """Calibrate a model folder: write its normative.npz, a restorer's detector.npz, and say so in its card.

    ``more``: normals beyond the held-out ones, prepared, in which a detector may look patches up.
    """
    model = predictor(info, device)
    with bar("calibrate", 1) as shown:
        normative = calibrate(model, normals, options, lambda step, fraction: shown.at(fraction, step))
    if info.config.kind == "restorer":
        with bar("fused map", 1) as shown:
            detector, normative = calibrate_detector(
                model, normals, normative, more, options, lambda step, fraction: shown.at(fraction, step)
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


def calibrate_command(
    model: Annotated[str, typer.Argument(help="Model name, or its folder")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest, or BIDS folder with splits; the demo's by default")
    ] = None,
    floor_mm3: Annotated[float, typer.Option(help="Smallest region that counts, mm³")] = FLOOR_MM3,
    smooth_z_mm: Annotated[float, typer.Option(help="σ of the normative z, mm")] = SMOOTH_Z_MM,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared at a time")] = 2,
    from_feedback: Annotated[
        Path | None, typer.Option(help="Readers' label maps, to choose band and floor by; needs --out")
    ] = None,
    false_alarms_a_scan: Annotated[
        float, typer.Option("--false-alarms", min=0, help="Rejected flags a scan that are allowed")
    ] = 1.0,
    normals: Annotated[
        Path | None, typer.Option(help="BIDS folder or manifest of a site's own normals; needs --out")
    ] = None,
    harmonise: Annotated[
        bool, typer.Option(help="With --normals: bring the site's intensities to the model's first")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="New model folder, with --from-feedback or --normals")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split of subjects, with --from-feedback")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Measure a model's residuals in held-out normals: normative map, percentiles, false alarms.

    With --from-feedback: choose which regions count by what readers made of them, on half of the subjects,
    report it on the others, and write a copy of the model that analyses so. The model itself is not changed.

    With --normals: fit the normative maps anew on another site's normals, ten or more, without training, in a
    copy of the model.

    Example: python -m core calibrate vae_8x8_512 --data data/demo
    python -m core calibrate restorer --normals our_normals --out models/restorer_ours
    python -m core calibrate vae_8x8_512 --from-feedback feedback --false-alarms 1.0 --out models/vae_tuned
    """
    info = model_named(model)
    if from_feedback is not None:
        if out is None:
            raise UsageError(
                "--from-feedback without --out; expected a new folder, as nothing is set in place"
            )
        operating_copy(info, from_feedback, false_alarms_a_scan, out, seed, as_json)
        return
    options = AnalyzeSettings(floor_mm3=floor_mm3, smooth_z_mm=smooth_z_mm)
    if normals is not None:
        if out is None:
            raise UsageError("--normals without --out; expected a new folder, as nothing is set in place")
        made = site_copy(info, normals, out, options, device or settings().device, jobs, harmonise)
        done(made, load_normative(made.folder / NORMATIVE), as_json)
        return
    if out is not None:
        raise UsageError(
            "--out without --from-feedback or --normals; a calibration is written into the model's own folder"
        )
    folder = data if data is not None else settings().demo_dir
    scans = scans_of([folder])
    held_out = split_of(scans, "validation", folder, 3)
    preprocess = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    paths = prepare_split(held_out, source, preprocess, settings().derivatives_dir, jobs)
    more: list[CasePaths] = []
    if info.config.kind == "restorer":
        others = picks(len(paths), [scan for scan in scans if scan.split == "train"])
        more = prepare_split(others, source, preprocess, settings().derivatives_dir, jobs)
    done(info, calibrated(info, paths, options, device or settings().device, more), as_json)


def done(info: ModelInfo, normative: Normative, as_json: bool) -> None:
    """Say what a model folder holds now."""
    if as_json:
        rates = false_alarms(normative, MAP_NAMES, normative.floor_mm3)
        say_json(
            {
                "model": info.name,
                "folder": str(info.folder),
                "training": info.training,
                "validation": {name: values.tolist() for name, values in normative.validation.items()},
                "false_alarms": rates,
            }
        )
        return
    say(f"{info.folder}: written")
    for fact, text in facts(normative).items():
        print(f"{fact}: {text}")
