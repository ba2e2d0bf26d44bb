"""The loss curve of a training, from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from pathlib import Path

import plotly.graph_objects as go

from core.io.atomic import write_bytes
from core.networks.train_settings import EpochRow


def loss_figure(rows: Sequence[EpochRow], title: str) -> go.Figure:
    """MSE of training and validation by epoch (log scale), and the KL of a variational network below."""
    epochs = [row.epoch for row in rows]
    figure = go.Figure()
    figure.add_scatter(x=epochs, y=[row.train_mse for row in rows], name="training MSE", mode="lines+markers")
    figure.add_scatter(x=epochs, y=[row.val_mse for row in rows], name="validation MSE", mode="lines+markers")
    best = min(rows, key=lambda row: row.val_mse)
    # On a logarithmic axis an annotation stands at the exponent.
    figure.add_annotation(
        x=best.epoch, y=log10(best.val_mse), text=f"best: epoch {best.epoch}, {best.val_mse:.5f}", ay=-30
    )
    layout: dict[str, object] = {
        "title": title,
        "xaxis": {"title": "epoch"},
        "yaxis": {"title": "MSE", "type": "log"},
        "template": "plotly_white",
    }
    if any(row.kl > 0 for row in rows):
        figure.add_scatter(
            x=epochs, y=[row.kl for row in rows], name="KL (nats a volume)", yaxis="y2", line={"dash": "dot"}
        )
        layout["yaxis2"] = {"title": "KL", "overlaying": "y", "side": "right", "showgrid": False}
    figure.update_layout(layout)
    return figure


def write_curve(rows: Sequence[EpochRow], title: str, path: Path) -> None:
    """The figure as one HTML file that needs no network."""
    write_bytes(path, loss_figure(rows, title).to_html(include_plotlyjs=True).encode())
