"""The paper's figures and ours, in Plotly, from the tables of ``cohort`` and ``localisation``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.evaluation.wording import SCORES

# Okabe and Ito's palette: told apart by most colour-blind readers.
GROUP_COLOURS = {
    "train": "#0072B2",
    "validation": "#56B4E9",
    "test normal": "#009E73",
    "test abnormal": "#D55E00",
}
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
BANDS = {
    "positive": (("2..3", "2 to 3"), ("3..4", "3 to 4"), ("4", "4 to ∞")),
    "negative": (("-3..-2", "−3 to −2"), ("-4..-3", "−4 to −3"), ("-4", "−∞ to −4")),
}
SCORE_NAMES = {
    "mse": "volume MSE",
    "cluster_size": "cluster size",
    "normative_top": "normative top 0.1 %",
    "largest_mm3": "largest region",
    "fused_top": "fused top 0.1 %",
    "fused_largest_mm3": "largest region, fused",
    "case_score": "case score",
}


def titled(figure: go.Figure, title: str, synthetic: bool, height: int = 460) -> go.Figure:
    """Title, which says so where the data are synthetic, and common layout."""
    text = f"{title} (synthetic data)" if synthetic else title
    return figure.update_layout(
        title=text,
        height=height,
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
    )


def is_synthetic(table: pd.DataFrame) -> bool:
    """True where any subject of the table is synthetic."""
    return bool(table["synthetic"].any())


def _boxes(table: pd.DataFrame, measure: str, legend: bool) -> list[go.Box]:
    """A box a group, models along x; every subject is a point that carries its case and model."""
    boxes = []
    for group, colour in GROUP_COLOURS.items():
        part = table[table["group"] == group]
        if part.empty:
            continue
        boxes.append(
            go.Box(
                x=part["model"],
                y=part[measure],
                name=group,
                legendgroup=group,
                offsetgroup=group,
                showlegend=legend,
                marker={"color": colour, "size": 4, "opacity": 0.6},
                line={"width": 1.2},
                boxpoints="all",
                jitter=0.5,
                pointpos=0,
                customdata=part[["case", "model"]].to_numpy(),
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>%{y:.4g}<extra>" + group + "</extra>",
            )
        )
    return boxes


def split_figure(table: pd.DataFrame, measure: str, title: str, axis: str) -> go.Figure:
    """Figures 3 and 4: one measure by architecture and split."""
    figure = go.Figure(_boxes(table, measure, True))
    figure.update_layout(boxmode="group", yaxis_title=axis)
    return titled(figure, title, is_synthetic(table))


def mse_figure(table: pd.DataFrame) -> go.Figure:
    """Figure 3."""
    return split_figure(table, "mse", "Figure 3: reconstruction MSE by architecture and split", "MSE")


def cluster_figure(table: pd.DataFrame) -> go.Figure:
    """Figure 4."""
    title = "Figure 4: mean slice-wise cluster size by architecture and split"
    return split_figure(table, "cluster_size", title, "voxels")


def band_figure(table: pd.DataFrame, kind: str, sign: str) -> go.Figure:
    """Figures S1 to S4: ``kind`` "percent" of brain voxels or "cluster" size, by band of one ``sign``."""
    number = {"percent": {"positive": 1, "negative": 2}, "cluster": {"positive": 3, "negative": 4}}[kind][
        sign
    ]
    what = "percentage of voxels" if kind == "percent" else "mean cluster size"
    bands = BANDS[sign]
    figure = make_subplots(
        rows=len(bands),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.07,
        subplot_titles=[f"{label} SD" for _, label in bands],
    )
    for row, (band, _) in enumerate(bands, 1):
        for box in _boxes(table, f"{kind}_{band}", row == 1):
            figure.add_trace(box, row=row, col=1)
        figure.update_yaxes(title="%" if kind == "percent" else "voxels", row=row, col=1)
    figure.update_layout(boxmode="group")
    figure = titled(figure, f"Figure S{number}: {what} by band, {sign}", is_synthetic(table), height=820)
    return figure.update_layout(legend={"y": -0.06, "yanchor": "top"})


def roc_figure(
    points: pd.DataFrame, auc: pd.DataFrame, variant: str, grid: str, synthetic: bool
) -> go.Figure:
    """Figures S5 (``grid`` "8x8") and S6 ("16x16"): ROC of volume MSE in one variant."""
    figure = go.Figure()
    areas = auc[(auc["variant"] == variant) & (auc["score"] == "mse")].set_index("model")
    chosen = points[(points["variant"] == variant) & points["model"].str.contains(f"_{grid}")]
    for index, (model, curve) in enumerate(chosen.groupby("model", sort=False)):
        area = areas.loc[model]
        label = f"{model}: {area['auc']:.2f} [{area['ci_low']:.2f}, {area['ci_high']:.2f}]"
        figure.add_scatter(
            x=curve["false"],
            y=curve["true"],
            mode="lines",
            name=label,
            line={"color": LINE_COLOURS[index % len(LINE_COLOURS)], "width": 2},
        )
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dot", "color": "#999"},
        name="chance",
        hoverinfo="skip",
    )
    figure.update_xaxes(title="false positive rate", range=[-0.01, 1.01])
    figure.update_yaxes(title="true positive rate", range=[-0.01, 1.01])
    number = "S5" if grid == "8x8" else "S6"
    title = f"Figure {number}: ROC of volume MSE, {grid.replace('x', '×')} architectures"
    figure = titled(figure, title, synthetic)
    figure.update_layout(title={"subtitle": {"text": variant}}, margin={"t": 80})
    return figure.update_layout(legend={"orientation": "v", "y": 0.03, "yanchor": "bottom", "x": 0.99})


def _intervals(
    names: Sequence[str], values: pd.DataFrame, column: str, low: str, high: str, **looks: object
) -> go.Scatter:
    return go.Scatter(
        x=values[column],
        y=list(names),
        mode="markers",
        error_x={
            "type": "data",
            "array": values[high] - values[column],
            "arrayminus": values[column] - values[low],
        },
        hovertemplate="%{y}<br>%{x:.3f}<extra></extra>",
        **looks,
    )


def localisation_figure(
    table: pd.DataFrame, measure: str, title: str, axis: str, synthetic: bool
) -> go.Figure:
    """One measure of ``localisation_table`` for all scorers, best on top, with intervals."""
    ordered = table.sort_values(measure, kind="stable")
    figure = go.Figure()
    network = ~ordered["scorer"].isin(SCORES)
    for name, part, colour in (
        ("network", ordered[network], "#0072B2"),
        ("baseline without a network", ordered[~network], "#D55E00"),
    ):
        labels = part["method"] + " · " + part["fitted_on"]
        looks = {"name": name, "marker": {"color": colour, "size": 9}}
        figure.add_trace(_intervals(labels, part, measure, f"{measure}_low", f"{measure}_high", **looks))
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(ordered["method"] + " · " + ordered["fitted_on"])
    )
    figure.update_xaxes(title=axis, rangemode="tozero")
    figure = titled(figure, title, synthetic, height=160 + 26 * len(table))
    return figure.update_layout(margin={"l": 380})


def froc_figure(froc: pd.DataFrame, synthetic: bool) -> go.Figure:
    """Lesion-wise sensitivity against false positives a scan; one false positive a scan is marked."""
    figure = go.Figure()
    for index, ((method, fitted), curve) in enumerate(froc.groupby(["method", "fitted_on"], sort=False)):
        plain = "z in the volume" in method
        figure.add_scatter(
            x=curve["false_a_scan"],
            y=curve["sensitivity"],
            mode="lines",
            name=f"{method} · {fitted}",
            line={
                "color": LINE_COLOURS[index // 2 % len(LINE_COLOURS)],
                "dash": "dot" if plain else "solid",
            },
            customdata=curve[["threshold"]].to_numpy(),
            hovertemplate="|z| ≥ %{customdata[0]:.2f}<br>%{y:.2f} of lesions<br>"
            "%{x:.2f} false a scan<extra>%{fullData.name}</extra>",
        )
    figure.add_vline(x=1, line={"dash": "dash", "color": "#999"})
    figure.update_xaxes(title="false positives a scan", range=[0, 10])
    figure.update_yaxes(title="lesions found", range=[0, 1.01])
    figure = titled(figure, "FROC: lesions found against false positives a scan", synthetic, height=680)
    return figure.update_layout(
        legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}
    )


def lesion_figure(lesions: pd.DataFrame, synthetic: bool) -> go.Figure:
    """Share of lesions found at one false positive a scan, by type and size, as a heat map."""
    named = lesions.assign(
        row=lesions["method"] + " · " + lesions["fitted_on"],
        column=lesions["name"].str.replace("_", " ") + " (" + lesions["lesions"].astype(str) + ")",
    )
    wide = named.pivot(index="row", columns="column", values="sensitivity")
    wide = wide.reindex(
        index=list(dict.fromkeys(named["row"]))[::-1], columns=list(dict.fromkeys(named["column"]))
    )
    figure = go.Figure(
        go.Heatmap(
            x=list(wide.columns),
            y=list(wide.index),
            z=wide.to_numpy(),
            zmin=0,
            zmax=1,
            colorscale="Blues",
            text=np.round(wide.to_numpy(), 2),
            texttemplate="%{text}",
            hovertemplate="%{y}<br>%{x}<br>%{z:.2f} found<extra></extra>",
        )
    )
    title = "Lesions found at one false positive a scan, by type and size (number of lesions)"
    figure = titled(figure, title, synthetic, height=220 + 24 * len(wide))
    return figure.update_layout(margin={"l": 380, "b": 160})


def case_auc_figure(auc: pd.DataFrame, synthetic: bool) -> go.Figure:
    """Case AUC, test normal against test abnormal, by score and model, with intervals."""
    chosen = auc[auc["variant"] == auc["variant"].iloc[0]] if len(auc) else auc
    figure = go.Figure()
    for index, (score, part) in enumerate(chosen.groupby("score", sort=False)):
        colour = {"color": LINE_COLOURS[index % len(LINE_COLOURS)], "size": 9}
        looks = {"name": SCORE_NAMES.get(str(score), str(score)), "marker": colour, "offsetgroup": str(score)}
        looks["orientation"] = "h"
        figure.add_trace(_intervals(list(part["model"]), part, "auc", "ci_low", "ci_high", **looks))
    figure.update_layout(scattermode="group")
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(chosen["model"]))[::-1])
    figure.add_vline(x=0.5, line={"dash": "dot", "color": "#999"})
    figure.update_xaxes(title="AUC", range=[0, 1.02])
    models = chosen["model"].nunique()
    figure = titled(figure, "Normal against abnormal test scans, by case score", synthetic, 200 + 60 * models)
    return figure.update_layout(margin={"l": 140})
