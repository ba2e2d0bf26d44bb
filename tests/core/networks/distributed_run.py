"""Trains a small network in one of several processes; started by ``torchrun`` in test_distributed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from core.networks.distributed import joined
from core.networks.train_settings import TrainSettings
from core.networks.training import train
from tests.core.networks.test_training import TINY, balls, tiny_ae

if __name__ == "__main__":
    kind, folder = sys.argv[1], Path(sys.argv[2])
    settings = TrainSettings(**json.loads(sys.argv[3]))
    with joined("cpu") as processes:
        config = TINY if kind == "vae" else tiny_ae()
        result = train(config, settings, balls(5), balls(3, 1), folder, processes=processes)
        rows = [asdict(row) for row in result.rows]
        (folder / f"rows-{processes.rank}-of-{processes.size}.json").write_text(json.dumps(rows))
