"""Two processes train to the losses of one with the doubled batch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from core.config import ROOT
from core.networks.distributed import ALONE, joined
from core.networks.train_settings import TrainingError, TrainSettings
from core.networks.training import train
from tests.core.networks.test_training import TINY, balls, losses, tiny_ae

SETTINGS = TrainSettings(
    epochs=3, learning_rate=3e-3, kl_warmup_epochs=1, threads=1, device="cpu", precision="float32"
)


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_two_processes_give_the_losses_of_the_doubled_batch(tmp_path: Path, kind: str) -> None:
    settings = replace(SETTINGS, augment="flip_shift", batch_size=1)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    arguments = ["-m", "tests.core.networks.distributed_run", kind, str(tmp_path)]
    done = subprocess.run(
        [*command, *arguments, json.dumps(asdict(settings))], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    both = [json.loads((tmp_path / f"rows-{rank}-of-2.json").read_text()) for rank in (0, 1)]
    assert both[0] == both[1]

    config = TINY if kind == "vae" else tiny_ae()
    doubled = train(config, replace(settings, batch_size=2), balls(5), balls(3, 1), tmp_path / "one")
    for row, expected in zip(both[0], doubled.rows, strict=True):
        for name in ("train_loss", "train_mse", "val_mse", "kl"):
            assert row[name] == pytest.approx(getattr(expected, name), rel=1e-4), name


def test_accumulated_batches_are_one_batch(tmp_path: Path) -> None:
    whole = train(TINY, replace(SETTINGS, batch_size=2), balls(5), balls(3, 1), tmp_path / "whole")
    parts = train(TINY, replace(SETTINGS, accumulate=2), balls(5), balls(3, 1), tmp_path / "parts")
    for one, other in zip(losses(whole), losses(parts), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    single = train(TINY, SETTINGS, balls(5), balls(3, 1), tmp_path / "single")
    assert losses(single)[-1] != pytest.approx(losses(whole)[-1], rel=1e-3), "a batch of one is another run"


def test_checkpointing_changes_no_loss(tmp_path: Path) -> None:
    plain = train(TINY, SETTINGS, balls(3), balls(2, 1), tmp_path / "plain")
    saved = train(TINY, replace(SETTINGS, checkpointing="blocks"), balls(3), balls(2, 1), tmp_path / "blocks")
    assert losses(plain) == losses(saved)


def test_checkpointing_keeps_less() -> None:
    from core.networks.autoencoder import build_network

    def kept(checkpointing: bool) -> int:
        torch.manual_seed(0)
        network = build_network(TINY)
        network.encoder.checkpointing = network.decoder.checkpointing = checkpointing
        sizes: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(torch.zeros(1, 1, 16, 16, 16)).sum()
        return sum(sizes)

    assert kept(True) < 0.6 * kept(False)


def test_alone_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as processes:
        assert processes == ALONE
        assert processes.total([1.5, 2.0], torch.device("cpu")) == [1.5, 2.0]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(TrainingError, match=r"WORLD_SIZE is 2, but RANK, .* is not set"), joined("cpu"):
        pass
