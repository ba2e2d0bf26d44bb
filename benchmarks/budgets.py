"""What must be true on two cores: seconds and memory of the steps that people wait for, against the budget.

Exits with 1 where a budget is broken.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.measure import Work, keep, machine, options, run_once
from benchmarks.scans import test_scans
from core.anomaly.residual import Array


def analyze_at(cube: int, name: str = "vae_8x8_512") -> float:
    """Seconds of one scan end to end, all maps of a model; at other cubes than 64³ with fresh weights."""
    import torch

    from core.case import AnalyzeSettings, analyze
    from core.cli.sources import demo_reference
    from core.config import settings
    from core.networks.autoencoder import build_network
    from core.networks.config import network_config
    from core.networks.zoo import model_info
    from core.predictor import Predictor, predictor
    from core.preprocess.pipeline import PrepareSettings

    if cube == 64:
        model = predictor(model_info(settings().models_dir / name))
    else:
        torch.manual_seed(0)
        network = build_network(network_config("vae_8x8_512", cube)).eval()

        def rebuild(x: Array) -> Array:
            with torch.inference_mode():
                return network(torch.from_numpy(x)[None, None])[0, 0].numpy()

        model = Predictor("vae_8x8_512", "fresh weights", PrepareSettings(cube=cube), rebuild)
    scan = test_scans(1)[0]
    reference = demo_reference()
    options_ = AnalyzeSettings() if model.normative is not None else AnalyzeSettings(maps=("volume",))
    with tempfile.TemporaryDirectory(prefix="fontanelle-bench-") as folder:
        start = time.perf_counter()
        analyze(scan, model, reference, Path(folder), options_)
        return time.perf_counter() - start


ANALYZE = "benchmarks.budgets:analyze_at"
# What, function, arguments, seconds, MB. Issue "The paper reproduced", section 6.
BUDGETS = (
    ("bands, clusters, regions at 256³", "benchmarks.bands:table_and_regions", {"cube": 256}, 3.0, 6144.0),
    ("prepare at 0.86 mm to 256³", "benchmarks.prepare_order:ours", {"spacing_mm": 0.86}, 15.0, 6144.0),
    ("analyze at 64³", "benchmarks.budgets:analyze_at", {"cube": 64}, 20.0, 6144.0),
    (
        "analyze at 64³, restorer",
        "benchmarks.budgets:analyze_at",
        {"cube": 64, "name": "restorer"},
        20.0,
        6144.0,
    ),
    ("analyze at 256³", "benchmarks.budgets:analyze_at", {"cube": 256}, 60.0, 6144.0),
)


def main() -> int:
    chosen = options(__doc__ or "", rounds=3)
    lines = []
    for name, call, arguments, seconds, peak in BUDGETS:
        taken = [run_once(Work(name, call, arguments)) for _ in range(chosen.rounds)]
        worst, memory = max(one.seconds for one in taken), max(one.peak_mb for one in taken)
        lines.append(
            {
                "what": name,
                "seconds_low": min(one.seconds for one in taken),
                "seconds_high": worst,
                "budget_seconds": seconds,
                "peak_mb": memory,
                "budget_mb": peak,
                "kept": worst <= seconds and memory <= peak,
                "rounds": chosen.rounds,
            }
        )
    table = pd.DataFrame(lines)
    print(f"\nbudgets ({machine()})")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    keep(table, "budgets", chosen.tables)
    return 0 if bool(table["kept"].all()) else 1


if __name__ == "__main__":
    sys.exit(main())
