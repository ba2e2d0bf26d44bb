"""Where ``train`` writes: a folder that holds a model of another training is not overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from core.cli.console import UsageError
from core.cli.prepare import Source
from core.cli.seen import SEEN, splits_hash
from core.cli.sources import REFERENCE, REFERENCE_MASK, recorded_hash
from core.io.bids import Scan
from core.io.volume import save_volume
from core.networks.config import AnyConfig, ModelError, network_config_to_dict
from core.networks.restorer_settings import RestorerTrainSettings
from core.networks.train_settings import TrainSettings
from core.networks.zoo import CONFIG, model_info
from core.preprocess.pipeline import PrepareSettings, settings_from_dict, settings_to_dict


def kept(source: Source, scratch: Path) -> Source:
    """The reference as the model folder will hold it, so that training and analysis read the same files."""
    if source.scan is None:
        return source
    brain = source.load()
    save_volume(brain.volume, scratch / REFERENCE)
    save_volume(brain.mask, scratch / REFERENCE_MASK, np.uint8)
    return Source(scan=scratch / REFERENCE, mask=scratch / REFERENCE_MASK, name=REFERENCE)


def recorded_reference(source: Source) -> tuple[str, str]:
    """Name and hash that config.json will hold of a reference."""
    with TemporaryDirectory() as scratch:
        own = kept(source, Path(scratch))
        return own.name, recorded_hash(own.name, own.load())


def check_target(
    target: Path,
    config: AnyConfig,
    options: TrainSettings | RestorerTrainSettings,
    preprocess: PrepareSettings,
    data: str,
    train_scans: Sequence[Scan],
    held_out: Sequence[Scan],
    reference: tuple[str, str],
) -> None:
    """Refuse a folder that holds a model of another training; the same one may be done again.

    ``reference``: its name and hash, as config.json holds them. Which scans a model was trained on is not
    known of one from before that was recorded: then all else must be the same.

    Raises
    ------
    UsageError
        Naming the folder and what differs.
    """
    if not (target / CONFIG).exists():
        return
    free = ("device", "threads", "max_minutes", "keep", "checkpointing")
    wanted: dict[str, Any] = {
        "network": network_config_to_dict(config),
        "preprocess": settings_to_dict(preprocess),
        "reference": reference,
        "data": data,
        "synthetic": all(scan.synthetic for scan in train_scans),
        "scans": (len(train_scans), len(held_out), splits_hash(train_scans, held_out)),
        "settings": {name: value for name, value in asdict(options).items() if name not in free},
    }
    try:
        info = model_info(target)
    except ModelError as error:
        raise UsageError(f"{target}: holds a model already ({error}); give --out or --replace") from error
    training = info.training
    found: dict[str, Any] = {
        "network": network_config_to_dict(info.config),
        "preprocess": settings_to_dict(settings_from_dict(info.preprocess)),
        "reference": (info.reference, info.reference_hash),
        "data": training.get("data"),
        "synthetic": info.synthetic,
        "scans": (
            training.get("n_train"),
            training.get("n_validation"),
            training.get(SEEN, {}).get("splits", wanted["scans"][2]),
        ),
        "settings": {
            name: value for name, value in training.get("settings", {}).items() if name in wanted["settings"]
        },
    }
    if other := [name for name in wanted if found[name] != wanted[name]]:
        raise UsageError(
            f"{target}: holds a model of another training (trained on {found['data']}, {info.config.cube}³; "
            f"other {', '.join(other)}), which would be lost; give --out or --replace"
        )
