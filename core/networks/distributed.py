"""Training by several processes at once, one a GPU: ``torchrun --nproc_per_node=N -m core train …``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from core.networks.train_settings import TrainingError

# The first process prepares the scans while the others wait.
PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class Processes:
    """This process among those that train one network together."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes files and speaks to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()

    def total(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Sums over the processes, the same in each."""
        return self._reduced(values, device, distributed.ReduceOp.SUM) if self.size > 1 else list(values)

    def most(self, value: float, device: torch.device) -> float:
        """Largest over the processes, the same in each."""
        return self._reduced([value], device, distributed.ReduceOp.MAX)[0] if self.size > 1 else value

    def _reduced(
        self, values: Sequence[float], device: torch.device, how: distributed.ReduceOp.RedOpType
    ) -> list[float]:
        tensor = torch.tensor(list(values), dtype=torch.float64, device=device)
        distributed.all_reduce(tensor, how)
        return [float(value) for value in tensor.tolist()]

    def add_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its sum over the processes; a process without a volume adds nothing."""
        if self.size == 1:
            return
        parameters = list(network.parameters())
        flat = torch.cat(
            [(torch.zeros_like(one) if one.grad is None else one.grad).reshape(-1) for one in parameters]
        )
        distributed.all_reduce(flat)
        for one, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
            # In the parameter's own memory order (channels last): the fused optimiser reads both by position.
            one.grad = torch.empty_like(one).copy_(part.view_as(one))


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that ``torchrun`` started, or this one alone.

    CUDA devices speak by NCCL, each process on the device of its local rank; CPUs by gloo.

    Raises
    ------
    TrainingError
        Where torchrun's variables are incomplete.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    missing = [
        name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ
    ]
    if missing:
        raise TrainingError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set; start by torchrun")
    cuda = device in ("auto", "cuda") and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()
