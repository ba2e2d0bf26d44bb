"""What ``evaluate`` computes scan by scan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.cli import measuring
from core.cli.measuring import Choice, Task, finished, measure_networks
from core.evaluation.baselines import Scorer
from core.evaluation.measure import MeasureSettings, kept_row, row_key, stored_content
from core.evaluation.thresholds import choice_key
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.preprocess.pipeline import PrepareSettings, settings_to_dict

SIDE = 16


def test_a_kept_row_of_another_models_preparation_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as that scan's error, not taken from the cache; thresholds are not chosen on it either."""
    paths = CasePaths(tmp_path / "out", "sub-01", "ses-01")
    paths.folder.mkdir(parents=True)
    wanted = PrepareSettings(cube=SIDE)
    other = settings_to_dict(replace(wanted, bias="none"))
    paths.prepared_json(SIDE).write_text(json.dumps({"key": "cube", "settings": other}))
    scorer = Scorer("net", "key", True, lambda x, mask: np.zeros_like(x), {"volume": lambda: None})
    scan = Scan(subject="sub-01", session="ses-01", path=tmp_path / "x.nii")
    options, cache = MeasureSettings(), tmp_path / "cache"
    task = Task(scan, Path("net"), "cpu", paths.root, SIDE, None, options, cache)
    choice = Choice(Path("net"), "cpu", (paths,), SIDE, cache)
    for key in (
        row_key(stored_content(paths, SIDE, scorer), scorer, None, options),
        choice_key(scorer, [stored_content(paths, SIDE, scorer)]),
    ):
        kept_row(cache, key, lambda: {"mse": 1.0})
    monkeypatch.setattr(measuring, "scorer_of", lambda model, device: scorer)
    row = finished(task)
    assert row is not None
    assert row["mse"] == 1.0
    assert choice.done
    monkeypatch.setattr(measuring, "scorer_of", lambda model, device: replace(scorer, prepare=wanted))
    assert finished(task) is None
    assert not choice.done
    found, bad = measure_networks([task], 1)
    assert found == []
    assert "prepared otherwise than for net: bias none instead of n4" in bad["sub-01_ses-01 by net"]
