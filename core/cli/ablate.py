"""``ablate``: what finds lesions and what doesn't, on lesions implanted into held-out normals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from core.anomaly.library import spread_over
from core.cli.calibrating import prepare_split, split_of
from core.cli.console import UsageError, bar, say, say_json
from core.cli.prepare import Source
from core.cli.sources import model_named, split_scans_of
from core.config import settings
from core.evaluation.ablation import ablate
from core.evaluation.ablation_networks import Network
from core.evaluation.measure import read_cube
from core.evaluation.statistics import DRAWS
from core.io.atomic import write_bytes
from core.networks.posterior import sampled
from core.networks.zoo import ModelInfo, load_model, reconstruct
from core.preprocess.pipeline import settings_from_dict


def label_of(info: ModelInfo) -> str:
    """What rows call a model: its folder's name, which is its own for those of the models folder."""
    return info.folder.resolve().name


def chosen_models(models: str) -> list[ModelInfo]:
    """Models by name or folder, with commas between; refused where they can't stand in one table.

    Raises
    ------
    UsageError
        For a name that is not there or comes twice, a model of several channels, or models that differ in
        cube, preparation or reference.
    """
    infos = [model_named(name.strip()) for name in models.split(",")]
    for info in infos:
        if len(seen := info.preprocess.get("channels", ["T2w"])) > 1:
            raise UsageError(
                f"{label_of(info)} sees {' and '.join(seen)}; expected models of the T2w alone, since "
                "lesions are implanted into that and a T1w without them would contradict it"
            )
    labels = [label_of(info) for info in infos]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise UsageError(f"{models}: two models are called {twice[0]}; expected folders of different names")
    if len({(str(info.preprocess), info.reference_hash) for info in infos}) > 1:
        raise UsageError(f"{models}: models differ in cube, preparation or reference; name some that agree")
    return infos


def network_of(info: ModelInfo, device: str) -> Network:
    """A model, loaded. What is tried with it is decided by its kind, not by its name."""
    model = load_model(info.folder, device)
    samples = partial(sampled, model) if info.config.kind == "vae" else None
    return Network(label_of(info), info.config.kind, partial(reconstruct, model), samples)


def trained_on(infos: Sequence[ModelInfo]) -> str:
    """What each restorer learned to take back, for the head of the table."""
    kinds = {
        label_of(info): info.training.get("settings", {}).get("kinds", "not recorded")
        for info in infos
        if info.config.kind == "restorer"
    }
    return "".join(f"{label} learned to take back {what}. " for label, what in kinds.items())


def command(
    data: Annotated[
        Path | None, typer.Argument(help="BIDS folder or manifest with splits; the demo's by default")
    ] = None,
    models: Annotated[
        str, typer.Option(help="Names or model folders by comma; the first restorer is tried in more ways")
    ] = "restorer,std_8x8,vae_8x8_512",
    out: Annotated[Path | None, typer.Option(help="CSV; ablation.csv in the evaluation folder")] = None,
    most: Annotated[int, typer.Option(min=3, help="Training normals used, evenly spaced")] = 80,
    seed: Annotated[int, typer.Option(help="Of the implanted lesions and the bootstrap")] = 0,
    syn: Annotated[bool, typer.Option("--syn", help="Also deformable registration, minutes more")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared, and trials scored, at a time")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Compare ideas for the overlay on lesions implanted into the validation normals; no test scan is read.

    Example: python -m core ablate --models restorer,vae_8x8_512 --syn --out docs/results/ablation.csv
    """
    import torch

    torch.set_num_threads(1)  # for the whole process: trials run in threads, and sums must not depend on it
    folder = data if data is not None else settings().demo_dir
    infos = chosen_models(models)
    networks = [network_of(info, device or settings().device) for info in infos]
    scans = split_scans_of(folder)
    groups = {name: split_of(scans, name, folder, 3) for name in ("train", "validation")}
    groups["train"] = spread_over(groups["train"], most)
    source = Source(folder=infos[0].folder, name=infos[0].reference)
    cubes, ages = {}, {}
    for name, members in groups.items():
        options, root = settings_from_dict(infos[0].preprocess), settings().derivatives_dir
        paths = prepare_split(members, source, options, root, jobs)
        cubes[name] = [read_cube(one, infos[0].config.cube) for one in paths]
        ages[name] = [scan.age for scan in members]
    with bar("ablate", 1) as shown:
        table = ablate(
            cubes["train"],
            cubes["validation"],
            networks,
            seed,
            (ages["train"], ages["validation"]),
            syn,
            jobs,
            lambda what, fraction: shown.at(fraction, what),
            lambda line: say(f"AP {line['ap']:.3f}  {line['score']}"),
        )
        shown.at(1)
    target = out if out is not None else settings().data_dir / "evaluation" / "ablation.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    called = "python -m core ablate" if data is None else f"python -m core ablate {data}"
    synthetic = "Synthetic data " if any(scan.synthetic for scan in scans) else "Data "
    head = (
        f"# Voxel AP by idea, lesions implanted into validation normals. {synthetic}{folder.resolve().stem}: "
        f"{len(cubes['train'])} train, {len(cubes['validation'])} validation. Intervals: bootstrap 95 % over "
        f"normals, {DRAWS} draws, seed {seed}. {trained_on(infos)}Command: {called} --models "
        f"{','.join(map(label_of, infos))} --most {most} --seed {seed}{' --syn' if syn else ''}\n"
    )
    write_bytes(target, (head + table.to_csv(index=False, float_format="%.4g", lineterminator="\n")).encode())
    if as_json:
        say_json({"file": str(target), "rows": table.to_dict("records")})
    else:
        print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        print(f"{target}: written")
