"""How a network is trained, and what training reports. Torch-free: the command line starts fast."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

CHOICES = {
    "precision": ("float32", "bfloat16"),
    "schedule": ("constant", "onecycle", "cosine"),
    "augment": ("none", "flip", "flip_shift"),
    "keep": ("best", "last"),
    "checkpointing": ("none", "blocks"),
    "compile": ("none", "default"),
}
SHIFT = 2  # voxels, at most, along each axis, by "flip_shift"


class TrainingError(ValueError):
    """Settings or data that training can't use, or a loss that is no number."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train. 50 epochs as in the paper (Methods, "Data preparation"); the rest it leaves open."""

    epochs: int = 50
    learning_rate: float = 2e-3  # highest of the schedule
    weight_decay: float = 0.01
    batch_size: int = 1  # volumes a process holds at once
    accumulate: int = 1  # batches a process sums before a step: memory of one, gradient of all
    seed: int = 0
    kl_weight: float = 0.005  # 2σ² of the decoder's noise, see losses.elbo_loss
    kl_warmup_epochs: int = 5  # kl_weight rises from 0 over these
    precision: str = "bfloat16"  # of the convolutions: 4 times faster than float32 on CPUs with AVX512_BF16
    threads: int = 0  # 0: torch's own choice
    checkpointing: str = "none"  # blocks: residual blocks are computed again on the way back, not kept
    compile: str = "none"  # default: torch.compile of encoder and decoder
    schedule: str = "onecycle"  # constant; onecycle: linear warm-up over a tenth, then cosine; cosine
    augment: str = "none"  # as the paper; flip: left and right by chance; flip_shift: and up to SHIFT voxels
    keep: str = "best"  # weights that the result holds: least validation MSE, or last
    device: str = "auto"
    max_minutes: float = 0.0  # stop at the end of the epoch that passes it; 0: never

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}")
        for name in ("epochs", "batch_size", "accumulate", "learning_rate"):
            if getattr(self, name) <= 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "seed", "kl_weight", "kl_warmup_epochs", "threads", "max_minutes"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected 0 or more")


def check_keys(raw: Collection[str], made: type[Any]) -> None:
    """Refuse keys that the settings ``made`` do not have.

    Raises
    ------
    TrainingError
    """
    known = {field.name for field in fields(made)}
    if unknown := sorted(set(raw) - known):
        raise TrainingError(
            f"unknown training setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )


def train_settings_from_dict(raw: dict[str, Any]) -> TrainSettings:
    """Strict reading; keys left out take their defaults.

    Raises
    ------
    TrainingError
        On an unknown key or value.
    """
    check_keys(raw, TrainSettings)
    return TrainSettings(**raw)


@dataclass(frozen=True)
class EpochRow:
    """One line of ``log.csv``; means over the epoch."""

    epoch: int  # from 1
    train_loss: float
    train_mse: float
    val_mse: float
    kl: float  # nats a volume; 0 for an autoencoder
    seconds: float


def learning_rate_factor(schedule: str, step: int, steps: int) -> float:
    """Share of the highest learning rate at a step counted from 0 out of ``steps``."""
    if schedule == "constant":
        return 1.0
    warmup = max(1, steps // 10) if schedule == "onecycle" else 0
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
