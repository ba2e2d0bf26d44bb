"""The evaluation folder: whole or absent, read back as written, a page that needs no network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from core.evaluation.report import (
    Evaluation,
    figures_of,
    read_evaluation,
    write_evaluation,
    write_tables,
)
from core.evaluation.report import (
    page as page_of,
)
from core.evaluation.statistics import EvaluationError
from core.evaluation.wording import COHORTS_DIFFER
from tests.core.evaluation.fakes import evaluation


@pytest.fixture(scope="module")
def made() -> Evaluation:
    return evaluation()


def test_folder_comes_back_as_it_was_written(tmp_path: Path, made: Evaluation) -> None:
    write_evaluation(made, tmp_path / "demo")
    read = read_evaluation(tmp_path / "demo")
    assert read.facts == made.facts
    assert set(read.tables) == set(made.tables)
    for name, table in made.tables.items():
        pd.testing.assert_frame_equal(read.tables[name], table, check_dtype=False, rtol=1e-5)
    assert {path.suffix for path in (tmp_path / "demo").iterdir()} == {".csv", ".html", ".json"}


def test_sheets_come_back_and_stale_ones_go(tmp_path: Path, made: Evaluation) -> None:
    figure = go.Figure(layout={"title": "Figure 7 (synthetic data)"})
    write_evaluation(replace(made, sheets={"figure_7": figure}), tmp_path)
    read = read_evaluation(tmp_path)
    assert list(read.sheets) == ["figure_7"]
    assert figures_of(read)["Overlays"][0].layout.title.text == "Figure 7 (synthetic data)"
    assert "Figure 7 (synthetic data)" in (tmp_path / "index.html").read_text()
    write_evaluation(made, tmp_path)
    assert read_evaluation(tmp_path).sheets == {}
    (tmp_path / "figure_5.json").write_text("{")
    with pytest.raises(EvaluationError, match=r"figure_5.json: .*run evaluate again"):
        read_evaluation(tmp_path)


def test_csv_tells_how_it_was_made(tmp_path: Path, made: Evaluation) -> None:
    (path,) = write_tables(made, tmp_path, ("summary",))
    first, header = path.read_text().splitlines()[:2]
    assert first.startswith("# MSE and cluster size by model and split")
    assert "Synthetic data demo: 4 train, 3 validation, 3 test normal, 3 test abnormal." in first
    assert "bootstrap 95 % over subjects, 1000 draws, seed 0" in first
    assert first.endswith("Command: python -m core evaluate data/demo")
    assert header == "measure,model,group,n,median,q1,q3,mean,ci_low,ci_high"
    (other,) = write_tables(made, tmp_path, ("significance",))
    assert "bootstrap" not in other.read_text(), "it has no interval"


def test_page_opens_offline_and_is_honest(tmp_path: Path, made: Evaluation) -> None:
    write_evaluation(made, tmp_path)
    page = (tmp_path / "index.html").read_text()
    head = page[: page.index("<script>")]
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page[page.rindex("</script></head>") :])
    assert "http" not in head
    assert page.count("plotly.js v") == 1, "Plotly stands in it once"
    assert COHORTS_DIFFER.split(":")[0] in page
    assert "no newborn was scanned" in page
    assert "sub-99_ses-01: no &lt;mask&gt;" in page
    for number in ("3", "4", "S1", "S2", "S3", "S4", "S5", "S6"):
        assert f"Figure {number}:" in page


def test_goals_stand_open_on_the_page(tmp_path: Path, made: Evaluation) -> None:
    goals = pd.DataFrame(
        {
            "method": ["fused"],
            "goal": ["lesions found"],
            "needed": [0.8],
            "reached": [0.41],
            "reached_low": [0.18],
            "reached_high": [0.67],
            "met": [False],
            "evidence": ["by size: under 100 mm³ 0.2"],
        }
    )
    with_goals = replace(made, tables={"goals": goals, **made.tables})
    write_evaluation(with_goals, tmp_path)
    page = (tmp_path / "index.html").read_text()
    part = page[page.index("<h2>Goals</h2>") : page.index("<h2>Reconstruction</h2>")]
    assert re.findall("<td>(.*?)</td>", part) == [
        "fused",
        "lesions found",
        "0.8",
        "0.41 (0.18\u00a0to\u00a00.67)",
        "no",
        "by size: under 100 mm³ 0.2",
    ]
    assert page.count("0.41 (0.18\u00a0to\u00a00.67)") == 1
    assert "<h2>Goals</h2>" not in page_of(made)
    pd.testing.assert_frame_equal(read_evaluation(tmp_path).tables["goals"], goals, check_dtype=False)


def test_figures_follow_the_tables(made: Evaluation) -> None:
    drawn = figures_of(made)
    assert list(drawn) == ["Reconstruction", "Bands", "ROC", "Localisation", "Cases"]
    assert [len(part) for part in drawn.values()] == [2, 4, 4, 4, 1]
    bare = {name: made.tables[name] for name in ("subjects", "auc")}
    assert list(figures_of(Evaluation(made.facts, bare))) == ["Reconstruction", "Bands"]


def test_a_second_evaluation_leaves_no_table_of_the_first(tmp_path: Path, made: Evaluation) -> None:
    write_evaluation(made, tmp_path)
    (tmp_path / "notes.csv").write_text("mine")
    bare = {name: made.tables[name] for name in ("subjects", "auc")}
    write_evaluation(Evaluation(made.facts, bare), tmp_path)
    assert {path.name for path in tmp_path.glob("*.csv")} == {"subjects.csv", "auc.csv", "notes.csv"}


def test_half_a_folder_is_refused(tmp_path: Path, made: Evaluation) -> None:
    with pytest.raises(EvaluationError, match="expected a folder that evaluate wrote"):
        read_evaluation(tmp_path / "none")
    write_evaluation(made, tmp_path)
    facts = tmp_path / "evaluation.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "schema": 99}))
    with pytest.raises(EvaluationError, match="another schema"):
        read_evaluation(tmp_path)
    write_evaluation(made, tmp_path)
    (tmp_path / "subjects.csv").unlink()
    with pytest.raises(EvaluationError, match=r"no subjects\.csv"):
        read_evaluation(tmp_path)
