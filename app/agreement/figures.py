"""Forest plots and confusion tables, light theme, n in each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

INK = "#1c2b2b"  # on white: contrast 14:1
ACCENT = "#0f766e"  # 5.5:1
GRID = "#d7e0df"
ROW_PX = 34
FONT = '"Source Sans", system-ui, sans-serif'  # the page's


def _styled(figure: go.Figure, title: str, height: int) -> go.Figure:
    return figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "xref": "container",
            "pad": {"l": 10},
            "font": {"size": 16, "color": INK},
        },
        height=height,
        template="plotly_white",
        font={"family": FONT, "color": INK, "size": 13},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        margin={"l": 10, "r": 20, "t": 48, "b": 44},
        showlegend=False,
    )


def in_words(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float], percent: bool
) -> list[str]:
    """Each value with its interval, as in "25% (10% to 40%)"."""
    pattern = "{:.0%}" if percent else "{:.2f}"
    return [
        "not defined"
        if not np.isfinite(value)
        else f"{pattern.format(value)} (no interval)"
        if not (np.isfinite(low) and np.isfinite(high))
        else f"{pattern.format(value)} ({pattern.format(low)} to {pattern.format(high)})"
        for value, low, high in zip(values, lows, highs, strict=True)
    ]


def forest(
    labels: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    title: str,
    axis: str,
    *,
    span: tuple[float, float] | None = None,
    percent: bool = False,
) -> go.Figure:
    """A point and its 95 % interval a line, the first on top; what is not defined is an empty line."""
    value, low, high = (np.asarray(one, np.float64) for one in (values, lows, highs))
    known = np.isfinite(low) & np.isfinite(high)
    texts = in_words(values, lows, highs, percent)
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=list(range(len(labels))),
            mode="markers",
            marker={"color": ACCENT, "size": 10, "symbol": "square"},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": np.where(known, high - value, 0.0),
                "arrayminus": np.where(known, value - low, 0.0),
                "color": INK,
                "thickness": 1.6,
                "width": 5,
            },
            customdata=texts,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    # Figures at the right edge, so that they never lie on a line.
    for at, text in enumerate(texts):
        figure.add_annotation(
            x=1.0,
            xref="paper",
            y=at,
            text=text,
            showarrow=False,
            xanchor="left",
            xshift=10,
            font={"color": INK},
        )
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=list(labels),
        range=[len(labels) - 0.5, -0.5],
        automargin=True,
        gridcolor=GRID,
        zeroline=False,
    )
    figure.update_xaxes(
        title=axis, gridcolor=GRID, range=span, tickformat=".0%" if percent else None, zerolinecolor=INK
    )
    figure = _styled(figure, title, 110 + ROW_PX * max(len(labels), 1))
    return figure.update_layout(margin={"r": 190})


def confusion_figure(table: pd.DataFrame, title: str, rows: str, columns: str) -> go.Figure:
    """Counts of a confusion table; the n of all in the title, of each line in its label."""
    counts = table.to_numpy(np.int64)
    total = int(counts.sum())
    top = max(int(counts.max(initial=0)), 1)
    figure = go.Figure(
        go.Heatmap(
            z=counts,
            x=[f"{name} (n = {int(n)})" for name, n in zip(table.columns, counts.sum(axis=0), strict=True)],
            y=[f"{name} (n = {int(n)})" for name, n in zip(table.index, counts.sum(axis=1), strict=True)],
            colorscale=[[0.0, "#ffffff"], [1.0, ACCENT]],
            zmin=0,
            zmax=top,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate=f"{rows} %{{y}}<br>{columns} %{{x}}<br>%{{z}}<extra></extra>",
        )
    )
    for i, line in enumerate(counts):
        for j, count in enumerate(line):
            colour = "#ffffff" if count > 0.75 * top else INK
            figure.add_annotation(
                x=j, y=i, text=str(int(count)), showarrow=False, font={"color": colour, "size": 14}
            )
    figure.update_xaxes(title=columns, side="bottom", automargin=True)
    figure.update_yaxes(title=rows, autorange="reversed", automargin=True)
    return _styled(figure, f"{title}, n = {total}", 140 + 46 * len(table.index))
