"""``train`` and ``calibrate``: from a data set of normals to a model folder."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from core.anomaly.bands import REGION_BANDS
from core.anomaly.normative import SMOOTH_Z_MM, Normative, false_alarms, save_normative
from core.anomaly.regions import FLOOR_MM3
from core.calibration import calibrate
from core.case import AnalyzeSettings
from core.cli.console import UsageError, bar, say, say_json
from core.cli.prepare import Source, Task, prepare_all, source_of, waiting
from core.cli.sources import REFERENCE, REFERENCE_MASK, model_named, recorded_hash, scans_of
from core.config import settings
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import MAP_NAMES, CasePaths
from core.io.volume import load_volume, save_volume
from core.networks.card import model_card
from core.networks.config import AnyConfig, NetworkConfig, RestorerConfig, model_config
from core.networks.restorer_settings import RestorerTrainSettings, restorer_train_settings_from_dict
from core.networks.train_settings import EpochRow, TrainSettings, train_settings_from_dict
from core.networks.zoo import ModelInfo, model_info, save_model
from core.predictor import predictor
from core.preprocess.pipeline import PrepareSettings, settings_from_dict

if TYPE_CHECKING:
    from core.networks.training import Progress, TrainResult


@contextmanager
def alone(scratch: Path) -> Iterator[None]:
    """Hold the scratch folder of one training, by a lock beside it.

    Raises
    ------
    UsageError
        Where another training has it.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with scratch.with_name(f".{scratch.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{scratch.name}: another training of this network and cube size runs; expected one at a time"
            ) from None
        yield


def kept(source: Source, scratch: Path) -> Source:
    """The reference as the model folder will hold it, so that training and analysis read the same files."""
    if source.scan is None:
        return source
    brain = source.load()
    save_volume(brain.volume, scratch / REFERENCE)
    save_volume(brain.mask, scratch / REFERENCE_MASK, np.uint8)
    return Source(scan=scratch / REFERENCE, mask=scratch / REFERENCE_MASK, name=REFERENCE)


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
        Naming the scan that failed.
    """
    tasks = [Task(scan, source, root, options) for scan in scans]
    if left := waiting(tasks):
        _, errors = prepare_all(left, jobs)
        if errors:
            case, error = next(iter(errors.items()))
            raise UsageError(f"{case}: {error}") from error
    return [task.paths for task in tasks]


def cubes(paths: Sequence[CasePaths], cube: int) -> NDArray[np.float16]:
    """Prepared scans (n, N, N, N) in half precision, which resolves [0, 1] to 0.0005."""
    stack = np.empty((len(paths), cube, cube, cube), np.float16)
    for index, one in enumerate(paths):
        stack[index] = load_volume(one.prepared(cube)).data
    return stack


def calibrated(
    info: ModelInfo, normals: Sequence[CasePaths], options: AnalyzeSettings, device: str
) -> Normative:
    """Calibrate a model folder: write its normative.npz, and say so in its card."""
    with bar("calibrate", 1) as shown:
        normative = calibrate(
            predictor(info, device), normals, options, lambda step, fraction: shown.at(fraction, step)
        )
    save_normative(normative, info.folder / "normative.npz")
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


def training_settings_from(
    kind: str, options: Sequence[str], given: dict[str, Any]
) -> TrainSettings | RestorerTrainSettings:
    """Training settings of the command's options and of ``--set KEY=VALUE``, for a kind of network.

    Raises
    ------
    UsageError, TrainingError
        For an unknown key, or a value that does not fit.
    """
    types: dict[str, type[int | float | str]] = {
        name: type(value)
        for name, value in asdict(RestorerTrainSettings() if kind == "restorer" else TrainSettings()).items()
    }
    raw = {name: value for name, value in given.items() if value is not None}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or name not in types:
            raise UsageError(f"--set {option}: expected KEY=VALUE with a key of {', '.join(types)}")
        try:
            raw[name] = types[name](text)
        except ValueError:
            raise UsageError(f"--set {option}: expected {types[name].__name__}") from None
    return restorer_train_settings_from_dict(raw) if kind == "restorer" else train_settings_from_dict(raw)


def trained(
    config: AnyConfig,
    options: TrainSettings | RestorerTrainSettings,
    x: NDArray[np.float16],
    held_out_x: NDArray[np.float16],
    voxel_mm: float,
    scratch: Path,
    tell: Progress,
) -> TrainResult:
    """Train the network that ``config`` describes, by the loop of its kind."""
    if isinstance(config, RestorerConfig) and isinstance(options, RestorerTrainSettings):
        from core.networks.restorer_training import train_restorer  # torch

        return train_restorer(config, options, x, held_out_x, voxel_mm, scratch, tell)
    if isinstance(config, NetworkConfig) and isinstance(options, TrainSettings):
        from core.networks.training import train  # torch

        return train(config, options, x, held_out_x, scratch, tell)
    raise TypeError(f"{type(options).__name__} can't train {config.name}")


def train_command(
    name: Annotated[str, typer.Argument(help="One of the eight, or restorer; see `python -m core models`")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest, or BIDS folder with splits; the demo's by default")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder; models/NAME by default")] = None,
    cube: Annotated[int, typer.Option(min=8, help="Voxels an axis: 64 as the demo, 256 as the paper")] = 64,
    reference: Annotated[
        Path | None, typer.Option(help="A normal scan to register to; the demo's without")
    ] = None,
    reference_mask: Annotated[Path | None, typer.Option(help="Its brain mask")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="50 as the paper; restorer: 150")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after the epoch that passes it")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and sampling")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    option: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of any training setting")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared at a time")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Train a network on normals, calibrate it on held-out ones, and write its folder. A killed run goes on.

    Example: python -m core train vae_8x8_512 --epochs 30
    """
    config = model_config(name, cube)
    chosen = device or settings().device
    given = {"epochs": epochs, "max_minutes": max_minutes, "seed": seed, "device": chosen}
    training_settings = training_settings_from(config.kind, option or [], given)
    folder = data if data is not None else settings().demo_dir
    source = source_of(reference, reference_mask)
    preprocess = settings_from_dict({"cube": cube})
    scans = scans_of([folder])
    train_scans, held_out = split_of(scans, "train", folder, 1), split_of(scans, "validation", folder, 3)
    scratch = settings().data_dir / "cache" / "training" / f"{name}_{cube}"
    with alone(scratch):
        source = kept(source, scratch)
        scans = [*train_scans, *held_out]
        everyone = prepare_split(scans, source, preprocess, settings().derivatives_dir, jobs)
        train_paths, held_out_paths = everyone[: len(train_scans)], everyone[len(train_scans) :]

        from core.networks.training import training_record  # torch

        with bar(f"train {name}", 1) as shown:

            def tell(step: int, steps: int, row: EpochRow | None) -> None:
                note = "" if row is None else f"epoch {row.epoch}: validation MSE {row.val_mse:.5f}"
                shown.at(step / steps, note)

            x, held_out_x = cubes(train_paths, cube), cubes(held_out_paths, cube)
            voxel_mm = preprocess.fov_mm / cube
            result = trained(config, training_settings, x, held_out_x, voxel_mm, scratch, tell)
        record = training_record(result, training_settings, folder.name, len(x), len(held_out_x))
        del x, held_out_x  # gigabytes at 256³
        target = out if out is not None else settings().models_dir / name
        target.mkdir(parents=True, exist_ok=True)
        if source.scan is not None:
            for file in (REFERENCE, REFERENCE_MASK):
                write_bytes(target / file, (scratch / file).read_bytes())
        synthetic = all(scan.synthetic for scan in train_scans)
        info = save_model(
            target,
            result.network,
            config,
            preprocess=asdict(preprocess),
            reference=source.name,
            reference_hash=recorded_hash(source.name, source.load()),
            training=record,
            synthetic=synthetic,
            card=card_of(config, record, asdict(preprocess), synthetic),
        )
        normative = calibrated(info, held_out_paths, AnalyzeSettings(), chosen)
        shutil.rmtree(scratch)
    done(model_info(target), normative, as_json)


def calibrate_command(
    model: Annotated[str, typer.Argument(help="Model name, or its folder")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest, or BIDS folder with splits; the demo's by default")
    ] = None,
    floor_mm3: Annotated[float, typer.Option(help="Smallest region that counts, mm³")] = FLOOR_MM3,
    smooth_z_mm: Annotated[float, typer.Option(help="σ of the normative z, mm")] = SMOOTH_Z_MM,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared at a time")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Measure a model's residuals in held-out normals: normative map, percentiles, false alarms.

    Example: python -m core calibrate vae_8x8_512 --data data/demo
    """
    info = model_named(model)
    folder = data if data is not None else settings().demo_dir
    held_out = split_of(scans_of([folder]), "validation", folder, 3)
    preprocess = settings_from_dict(info.preprocess)
    source = Source(folder=info.folder, name=info.reference)
    paths = prepare_split(held_out, source, preprocess, settings().derivatives_dir, jobs)
    options = AnalyzeSettings(floor_mm3=floor_mm3, smooth_z_mm=smooth_z_mm)
    done(info, calibrated(info, paths, options, device or settings().device), as_json)


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
