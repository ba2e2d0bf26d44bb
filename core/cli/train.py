"""``train``: from a data set of normals to a model folder."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from core.case import AnalyzeSettings
from core.cli.calibrate import done
from core.cli.calibrating import calibrated, card_of, prepare_split, split_of
from core.cli.console import UsageError, bar
from core.cli.prepare import source_of
from core.cli.seen import SEEN, seen_record
from core.cli.sources import REFERENCE, REFERENCE_MASK, recorded_hash, split_scans_of
from core.cli.target import check_target, kept, recorded_reference
from core.config import settings
from core.io.atomic import write_bytes
from core.io.derivatives import CasePaths
from core.io.volume import load_volume
from core.networks.config import (
    AnyConfig,
    NetworkConfig,
    RestorerConfig,
    model_config,
)
from core.networks.restorer_settings import RestorerTrainSettings, restorer_train_settings_from_dict
from core.networks.train_settings import EpochRow, TrainSettings, train_settings_from_dict
from core.networks.zoo import CONFIG, model_info, save_model
from core.preprocess.pipeline import (
    ONE_CHANNEL,
    TWO_CHANNELS,
    settings_from_dict,
    settings_to_dict,
)

if TYPE_CHECKING:
    from core.networks.distributed import Processes
    from core.networks.training import Progress, TrainResult

LOG, CURVE = "training_log.csv", "loss.html"  # in the model folder


@contextmanager
def alone(scratch: Path, wanted: bool = True) -> Iterator[None]:
    """Hold the scratch folder of one training, by a lock beside it; ``wanted`` by one process of several.

    Raises
    ------
    UsageError
        Where another training has it.
    """
    if not wanted:
        yield
        return
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with scratch.with_name(f".{scratch.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{scratch.name}: another training of this network and cube size runs; expected one at a time"
            ) from None
        yield


def cubes(
    paths: Sequence[CasePaths], cube: int, channels: tuple[str, ...] = ONE_CHANNEL
) -> NDArray[np.float16]:
    """Prepared scans (n, N, N, N) in half precision, which resolves [0, 1] to 0.0005; with more channels
    (n, C, N, N, N).
    """
    stack = np.empty((len(paths), len(channels), cube, cube, cube), np.float16)
    for index, one in enumerate(paths):
        for place, channel in enumerate(channels):
            stack[index, place] = load_volume(one.prepared(cube, channel)).data
    return stack if len(channels) > 1 else stack[:, 0]


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
    processes: Processes,
) -> TrainResult:
    """Train the network that ``config`` describes, by the loop of its kind."""
    if isinstance(config, RestorerConfig) and isinstance(options, RestorerTrainSettings):
        from core.networks.restorer_training import train_restorer  # torch

        if processes.size > 1:
            raise UsageError(
                f"{config.name} trains in one process, found {processes.size}; start without torchrun"
            )

        return train_restorer(config, options, x, held_out_x, voxel_mm, scratch, tell)
    if isinstance(config, NetworkConfig) and isinstance(options, TrainSettings):
        from core.networks.training import train  # torch

        return train(config, options, x, held_out_x, scratch, tell, processes)
    raise TypeError(f"{type(options).__name__} can't train {config.name}")


def train_command(
    name: Annotated[str, typer.Argument(help="One of the eight, or of ours; see `python -m core models`")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest, or BIDS folder with splits; the demo's by default")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder; models/NAME by default")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite a model of another training in that folder")
    ] = False,
    cube: Annotated[int, typer.Option(min=8, help="Voxels an axis: 64 as the demo, 256 as the paper")] = 64,
    reference: Annotated[
        Path | None, typer.Option(help="A normal scan to register to; the demo's without")
    ] = None,
    reference_mask: Annotated[Path | None, typer.Option(help="Its brain mask")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="50 as the paper; restorer: 90")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after the epoch that passes it")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and sampling")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    option: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of any training setting")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scans prepared at a time")] = 2,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder that keeps best.safetensors, last.pt and log.csv")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Train a network on normals, calibrate it on held-out ones, and write its folder. A killed run goes on.

    Example: python -m core train vae_8x8_512 --epochs 30 --out models/ours/vae_8x8_512. On two GPUs:
    torchrun --nproc_per_node=2 -m core train vae_8x8_512 --cube 256 --out models/ours/vae_8x8_512
    """
    config = model_config(name, cube)
    chosen = device or settings().device
    given = {"epochs": epochs, "max_minutes": max_minutes, "seed": seed, "device": chosen}
    training_settings = training_settings_from(config.kind, option or [], given)
    folder = data if data is not None else settings().demo_dir
    source = source_of(reference, reference_mask)
    two = isinstance(config, NetworkConfig) and config.in_channels == 2
    preprocess = settings_from_dict({"cube": cube, "channels": TWO_CHANNELS if two else ONE_CHANNEL})
    scans = split_scans_of(folder)
    train_scans, held_out = split_of(scans, "train", folder, 1), split_of(scans, "validation", folder, 3)
    target = out if out is not None else settings().models_dir / name
    if not replace and (target / CONFIG).exists():
        known = recorded_reference(source)
        check_target(target, config, training_settings, preprocess, folder.name, train_scans, held_out, known)
    scratch = settings().data_dir / "cache" / "training" / f"{name}_{cube}"
    if checkpoints is not None and checkpoints.exists():
        raise UsageError(f"--checkpoints {checkpoints}: is there already; expected a new folder")

    from core.networks.curve import write_curve
    from core.networks.distributed import joined  # torch
    from core.networks.training import training_record

    with joined(chosen) as processes, alone(scratch, processes.first):
        if processes.first:
            source = kept(source, scratch)
            prepare_split([*train_scans, *held_out], source, preprocess, settings().derivatives_dir, jobs)
        processes.wait()
        train_paths, held_out_paths = (
            [CasePaths(settings().derivatives_dir, one.subject, one.session) for one in group]
            for group in (train_scans, held_out)
        )
        with bar(f"train {name}", 1) if processes.first else nullcontext() as shown:

            def tell(step: int, steps: int, row: EpochRow | None) -> None:
                assert shown is not None
                note = "" if row is None else f"epoch {row.epoch}: validation MSE {row.val_mse:.5f}"
                shown.at(step / steps, note)

            x, held_out_x = (
                cubes(group, cube, preprocess.channels) for group in (train_paths, held_out_paths)
            )
            voxel_mm = preprocess.fov_mm / cube
            result = trained(config, training_settings, x, held_out_x, voxel_mm, scratch, tell, processes)
        if not processes.first:
            return
        record = training_record(result, training_settings, folder.name, len(x), len(held_out_x))
        record["processes"] = processes.size
        record[SEEN] = seen_record(train_scans, held_out)
        del x, held_out_x  # gigabytes at 256³
        target.mkdir(parents=True, exist_ok=True)
        if source.scan is not None:
            for file in (REFERENCE, REFERENCE_MASK):
                write_bytes(target / file, (scratch / file).read_bytes())
        synthetic = all(scan.synthetic for scan in train_scans)
        info = save_model(
            target,
            result.network,
            config,
            preprocess=settings_to_dict(preprocess),
            reference=source.name,
            reference_hash=recorded_hash(source.name, source.load()),
            training=record,
            synthetic=synthetic,
            card=card_of(config, record, settings_to_dict(preprocess), synthetic),
        )
        write_bytes(target / LOG, (scratch / "log.csv").read_bytes())
        write_curve(
            result.rows, f"{name}, {folder.name}{' (synthetic)' if synthetic else ''}", target / CURVE
        )
        normative = calibrated(info, held_out_paths, AnalyzeSettings(), chosen, train_paths, jobs)
        if checkpoints is not None:
            shutil.move(scratch, checkpoints)
        else:
            shutil.rmtree(scratch)
    done(model_info(target), normative, as_json)
