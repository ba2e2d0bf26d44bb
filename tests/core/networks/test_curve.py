"""The loss curve shows the rows and names the best epoch."""

from __future__ import annotations

from math import log10
from pathlib import Path

import pytest

from core.networks.curve import loss_figure, write_curve
from core.networks.train_settings import EpochRow

ROWS = [
    EpochRow(1, 0.5, 0.4, 0.3, 9.0, 1),
    EpochRow(2, 0.4, 0.2, 0.1, 8.0, 1),
    EpochRow(3, 0.4, 0.1, 0.2, 7, 1),
]


def test_curves_are_the_rows() -> None:
    figure = loss_figure(ROWS, "vae")
    shown = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert shown == {
        "training MSE": ([1, 2, 3], [0.4, 0.2, 0.1]),
        "validation MSE": ([1, 2, 3], [0.3, 0.1, 0.2]),
        "KL (nats a volume)": ([1, 2, 3], [9, 8, 7]),
    }
    best = figure.layout.annotations[0]
    assert (best.x, best.text) == (2, "best: epoch 2, 0.10000")
    assert best.y == pytest.approx(log10(0.1))


def test_an_autoencoder_has_no_kl() -> None:
    rows = [EpochRow(1, 0.5, 0.4, 0.3, 0.0, 1)]
    assert [trace.name for trace in loss_figure(rows, "ae").data] == ["training MSE", "validation MSE"]


def test_the_file_needs_no_network(tmp_path: Path) -> None:
    write_curve(ROWS, "vae", tmp_path / "loss.html")
    text = (tmp_path / "loss.html").read_text()
    assert "validation MSE" in text
    assert 'src="http' not in text
