"""``calibrate``: what a model's residuals are in held-out normals, kept in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.anomaly.library import spread_over
from core.anomaly.normative import SMOOTH_Z_MM, Normative, false_alarms, load_normative
from core.anomaly.regions import FLOOR_MM3
from core.calibration import MOST_OTHERS
from core.case import AnalyzeSettings
from core.cli.calibrating import calibrated, facts, prepare_split, split_of
from core.cli.console import UsageError, say, say_json
from core.cli.feedback import operating_copy
from core.cli.prepare import Source
from core.cli.site import site_copy
from core.cli.sources import model_named, split_scans_of
from core.config import settings
from core.io.derivatives import MAP_NAMES, CasePaths
from core.networks.zoo import NORMATIVE, ModelInfo
from core.preprocess.pipeline import settings_from_dict


def calibrate_command(
    model: Annotated[str, typer.Argument(help="Model name, or its folder")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest, or BIDS folder with splits; the demo's by default")
    ] = None,
    floor_mm3: Annotated[float, typer.Option(help="Smallest region that counts, mm³")] = FLOOR_MM3,
    smooth_z_mm: Annotated[float, typer.Option(help="σ of the normative z, mm")] = SMOOTH_Z_MM,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared, and deformed, at a time")] = 2,
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
        bool,
        typer.Option(
            help="With --normals: bring the site's intensities to the model's first; without, as MODEL does"
        ),
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
    if from_feedback is not None and normals is not None:
        raise UsageError("--normals and --from-feedback are given together; expected one of them")
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
    scans = split_scans_of(folder)
    held_out = split_of(scans, "validation", folder, 3)
    preprocess = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    paths = prepare_split(held_out, source, preprocess, settings().derivatives_dir, jobs)
    more: list[CasePaths] = []
    if info.config.kind == "restorer":
        others = spread_over([scan for scan in scans if scan.split == "train"], MOST_OTHERS)
        more = prepare_split(others, source, preprocess, settings().derivatives_dir, jobs)
    done(info, calibrated(info, paths, options, device or settings().device, more, jobs), as_json)


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
