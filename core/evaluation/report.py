"""The evaluation folder: tables as CSV, one HTML page that opens offline, and what it was made of."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.io import from_json
from plotly.offline import get_plotlyjs

from core.evaluation import figures
from core.evaluation.readable import html_table
from core.evaluation.statistics import EvaluationError
from core.evaluation.wording import COHORTS_DIFFER, GOALS, NOTES, TITLES, VARIANTS
from core.io.atomic import write_bytes

SCHEMA = 1
FACTS, PAGE = "evaluation.json", "index.html"
SHEETS = ("figure_5", "figure_6", "figure_7", "figure_8")
# Small enough to be kept with the source; the others hold a line a subject or a threshold.
SMALL = (
    "goals",
    "summary",
    "significance",
    "auc",
    "paper",
    "localisation",
    "lesions",
    "case_auc",
    "false_alarms",
)


@dataclass(frozen=True)
class Facts:
    """What an evaluation was made of."""

    data: str  # name of the data set's folder
    synthetic: bool
    command: str
    seed: int
    draws: int
    groups: dict[str, int]  # scans
    models: list[dict[str, Any]]  # name, hash, epochs, validation MSE
    left_out: dict[str, str]  # scan: why
    settings: dict[str, Any]
    versions: dict[str, str]

    @property
    def counts(self) -> str:
        """Scans by group, for people."""
        return ", ".join(f"{number} {group}" for group, number in self.groups.items())


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Tables by name, in the order of ``TITLES``, their facts, and figures 5 to 8 by name."""

    facts: Facts
    tables: Mapping[str, pd.DataFrame]
    sheets: Mapping[str, go.Figure] = field(default_factory=dict)


def csv_text(name: str, evaluation: Evaluation) -> str:
    """A table as CSV; its first line, a comment, says what it is and how to make it again."""
    facts = evaluation.facts
    table = evaluation.tables[name]
    comment = (
        f"# {TITLES[name]}. {'Synthetic data' if facts.synthetic else 'Data'} {facts.data}: {facts.counts}."
    )
    if any(column.endswith("_low") for column in table):
        comment += f" Intervals: bootstrap 95 % over subjects, {facts.draws} draws, seed {facts.seed}."
    comment += f" Command: {facts.command}\n"
    return comment + table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def write_tables(evaluation: Evaluation, folder: Path, names: tuple[str, ...] = SMALL) -> list[Path]:
    """Write tables as CSV, each atomically; those that are empty are left out."""
    written = []
    for name in names:
        if name in evaluation.tables and len(evaluation.tables[name]):
            path = folder / f"{name}.csv"
            write_bytes(path, csv_text(name, evaluation).encode())
            written.append(path)
    return written


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write tables, page and, last, the facts, whose presence says that the folder is whole."""
    (folder / FACTS).unlink(missing_ok=True)
    written = {path.name for path in write_tables(evaluation, folder, tuple(TITLES))}
    for stale in folder.glob("*.csv"):
        if stale.name not in written and stale.stem in TITLES:
            stale.unlink()
    for name in SHEETS:
        (folder / f"{name}.json").unlink(missing_ok=True)
        if name in evaluation.sheets:
            write_bytes(folder / f"{name}.json", evaluation.sheets[name].to_json().encode())
    write_bytes(folder / PAGE, page(evaluation).encode())
    document = {"schema": SCHEMA, **asdict(evaluation.facts)}
    write_bytes(folder / FACTS, (json.dumps(document, indent=1) + "\n").encode())


def read_evaluation(folder: Path) -> Evaluation:
    """Read what ``write_evaluation`` wrote.

    Raises
    ------
    EvaluationError
        Where facts or a table are missing, damaged or of another schema.
    """
    path = folder / FACTS
    try:
        raw = json.loads(path.read_text())
        if raw.pop("schema") != SCHEMA:
            raise EvaluationError(f"{path.name} of {folder.name}: another schema; run evaluate again")
        facts = Facts(**raw)
        tables = {
            name: pd.read_csv(folder / f"{name}.csv", comment="#")
            for name in TITLES
            if (folder / f"{name}.csv").is_file()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EvaluationError(f"{folder.name}: {error}; expected a folder that evaluate wrote") from error
    if "subjects" not in tables or "auc" not in tables:
        raise EvaluationError(f"{folder.name}: no subjects.csv or auc.csv; run evaluate again")
    sheets = {}
    for name in SHEETS:
        file = folder / f"{name}.json"
        if file.is_file():
            try:
                sheets[name] = from_json(file.read_text())
            except ValueError as error:
                raise EvaluationError(f"{file.name}: {error}; run evaluate again") from error
    return Evaluation(facts, tables, sheets)


def figures_of(evaluation: Evaluation) -> dict[str, list[go.Figure]]:
    """Figures by heading, from the tables alone."""
    tables, synthetic = evaluation.tables, evaluation.facts.synthetic
    subjects = tables["subjects"]
    found = {
        "Reconstruction": [figures.mse_figure(subjects), figures.cluster_figure(subjects)],
        "Bands": [
            figures.band_figure(subjects, kind, sign)
            for kind in ("percent", "cluster")
            for sign in ("positive", "negative")
        ],
    }
    rocs = [
        figures.roc_figure(tables["roc"], tables["auc"], variant, grid, synthetic)
        for variant in VARIANTS
        for grid in ("8x8", "16x16")
        if "roc" in tables and _has_curve(tables["roc"], variant, grid)
    ]
    if rocs:
        found["ROC"] = rocs
    if evaluation.sheets:
        found["Overlays"] = [evaluation.sheets[name] for name in SHEETS if name in evaluation.sheets]
    if "localisation" in tables:
        table = tables["localisation"]
        found["Localisation"] = [
            figures.localisation_figure(
                table, "ap", "Voxel average precision, mean of abnormal scans", "AP", synthetic
            ),
            figures.localisation_figure(
                table,
                "sensitivity",
                "Lesions found at one false positive a scan",
                "lesion-wise sensitivity",
                synthetic,
            ),
            figures.froc_figure(tables["froc"], synthetic),
            figures.lesion_figure(tables["lesions"], synthetic),
        ]
    if "case_auc" in tables:
        found["Cases"] = [figures.case_auc_figure(tables["case_auc"], synthetic)]
    return found


def _has_curve(points: pd.DataFrame, variant: str, grid: str) -> bool:
    chosen = points[points["variant"] == variant]
    return bool(chosen["model"].str.contains(f"_{grid}").any())


def page(evaluation: Evaluation) -> str:
    """One HTML page; Plotly's script stands in it once, so that it needs no network."""
    facts = evaluation.facts
    parts = [
        f"<h1>Evaluation of {html.escape(facts.data)}</h1>",
        "<p class='warn'>Synthetic data: no newborn was scanned, and no figure here is clinical.</p>"
        if facts.synthetic
        else "",
        f"<p>{html.escape(COHORTS_DIFFER)}</p>",
        f"<p>Scans: {html.escape(facts.counts)}. Intervals: bootstrap 95 % over subjects, {facts.draws} "
        f"draws, seed {facts.seed}.<br><code>{html.escape(facts.command)}</code></p>",
        *(
            f"<p>Left out: {html.escape(case)}: {html.escape(why)}</p>"
            for case, why in facts.left_out.items()
        ),
        "<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in NOTES) + "</ul>",
        pd.DataFrame(facts.models).to_html(index=False, border=0, na_rep="–"),
    ]
    if "goals" in evaluation.tables:
        parts.append(f"<h2>Goals</h2><p>{html.escape(GOALS)} <a href='goals.csv'>CSV</a></p>")
        parts.append(html_table("goals", evaluation.tables["goals"]))
    for heading, drawn in figures_of(evaluation).items():
        parts.append(f"<h2>{heading}</h2>")
        parts += [figure.to_html(full_html=False, include_plotlyjs=False) for figure in drawn]
    parts.append("<h2>Tables</h2>")
    for name in SMALL:
        if name in evaluation.tables and name != "goals":
            parts.append(
                f"<details><summary>{html.escape(TITLES[name])} (<a href='{name}.csv'>CSV</a>)</summary>"
                f"{html_table(name, evaluation.tables[name])}</details>"
            )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>Fontanelle: evaluation of {html.escape(facts.data)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>{''.join(parts)}</body></html>\n"
    )


STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:13px;margin:.7em 0}"
    "td,th{padding:2px 9px;text-align:left;vertical-align:top}"
    "tr:nth-child(even){background:#f5f5f5}.warn{background:#fff3cd;padding:.6em 1em}code{background:#eee}"
    "summary{cursor:pointer;margin:.4em 0}details{overflow-x:auto}"
)
