"""How a restoration network is trained. Torch-free: the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.networks.corruption import CorruptionError, CorruptionSettings
from core.networks.train_settings import CHOICES, TrainingError, check_keys

AUGMENT = ("none", "flip", "vary")
LOSSES = ("l1", "l2")
BALANCES = ("none", "size")


@dataclass(frozen=True)
class RestorerTrainSettings:
    """How to train ``restorer``; names mean the same as in ``TrainSettings``."""

    epochs: int = 90
    learning_rate: float = 2e-3  # highest of the schedule
    weight_decay: float = 0.01
    batch_size: int = 1
    seed: int = 0
    precision: str = "bfloat16"
    threads: int = 0
    schedule: str = "onecycle"
    cycles: int = 1  # times the schedule is run through, over equal shares of the epochs
    augment: str = "vary"  # none; flip: left and right by chance; vary: and contrast, bias, noise, shifts
    kinds: str = ",".join(CorruptionSettings().kinds)  # of corruption, by commas; see corruption.KINDS
    most_regions: int = CorruptionSettings().most_regions  # corrupted regions, at most, in a scan
    loss: str = "l2"  # of log intensity: l2 gives half-sure changes by half, l1 those it is sure of
    corrupted_weight: float = 10.0  # of the error in corrupted voxels, beside 1 in the whole brain
    balance: str = "none"  # of that weight between regions: none, or size: more in small ones
    keep: str = "last"  # weights that the result holds: last, or best: least validation MSE
    device: str = "auto"
    max_minutes: float = 0.0  # stop at the end of the epoch that passes it; 0: never

    def __post_init__(self) -> None:
        choices = {name: CHOICES[name] for name in ("precision", "schedule", "keep")}
        choices |= {"augment": AUGMENT, "loss": LOSSES, "balance": BALANCES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}")
        for name in ("epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("weight_decay", "seed", "threads", "corrupted_weight", "max_minutes"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if self.cycles < 1 or self.epochs % self.cycles:
            raise TrainingError(f"cycles is {self.cycles}, expected a divisor of the {self.epochs} epochs")
        try:
            self.corruption()
        except CorruptionError as error:
            raise TrainingError(str(error)) from error

    def corruption(self) -> CorruptionSettings:
        """What the scans are corrupted with."""
        return CorruptionSettings(tuple(self.kinds.split(",")), self.most_regions)


def restorer_train_settings_from_dict(raw: dict[str, Any]) -> RestorerTrainSettings:
    """Strict reading; keys left out take their defaults.

    Raises
    ------
    TrainingError
        On an unknown key or value.
    """
    check_keys(raw, RestorerTrainSettings)
    return RestorerTrainSettings(**raw)
