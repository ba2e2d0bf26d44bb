"""Figures hold every subject, the table's numbers, and say where data are synthetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.evaluation import cohort as tables
from core.evaluation import figures
from core.evaluation.localisation import froc_table, lesion_table, localisation_table, scored_maps
from core.evaluation.wording import VARIANTS
from tests.core.evaluation.fakes import cohort


@pytest.fixture(scope="module")
def subjects() -> pd.DataFrame:
    return tables.subject_table(cohort())


def test_boxes_show_every_subject_and_hover_names_it(subjects: pd.DataFrame) -> None:
    figure = figures.mse_figure(subjects)
    assert [box.name for box in figure.data] == ["train", "validation", "test normal", "test abnormal"]
    assert {box.boxpoints for box in figure.data} == {"all"}
    assert sum(len(box.y) for box in figure.data) == len(subjects)
    last = figure.data[3]
    assert list(last.customdata[0]) == ["sub-10_ses-01", "std_8x8"]
    assert last.y[0] == pytest.approx(0.001 + 0.001 + 0.0001)
    assert "%{customdata[0]}" in last.hovertemplate
    assert figure.layout.title.text.startswith("Figure 3")


def test_title_says_synthetic_only_where_it_is(subjects: pd.DataFrame) -> None:
    assert figures.cluster_figure(subjects).layout.title.text.endswith("(synthetic data)")
    real = subjects.assign(synthetic=False)
    assert "synthetic" not in figures.cluster_figure(real).layout.title.text


@pytest.mark.parametrize(
    ("kind", "sign", "number", "first"),
    [
        ("percent", "positive", "S1", 3),
        ("percent", "negative", "S2", 2),
        ("cluster", "positive", "S3", 13),
        ("cluster", "negative", "S4", 12),
    ],
)
def test_band_figures(subjects: pd.DataFrame, kind: str, sign: str, number: str, first: float) -> None:
    figure = figures.band_figure(subjects, kind, sign)
    assert figure.layout.title.text.startswith(f"Figure {number}:")
    assert len(figure.data) == 3 * 4
    # The band nearest to zero comes first; its value in the fake rows is its place among the six.
    assert set(figure.data[0].y) == {first}


def test_roc_of_one_grid_and_variant(subjects: pd.DataFrame) -> None:
    points, auc = tables.roc_table(subjects), tables.auc_table(subjects, 0, ("mse",))
    variant = list(VARIANTS)[1]
    small = figures.roc_figure(points, auc, variant, "8x8", synthetic=True)
    assert [line.name for line in small.data] == [
        "std_8x8: 1.00 [1.00, 1.00]",
        "vae_8x8_512: 1.00 [1.00, 1.00]",
        "chance",
    ]
    assert "Figure S5" in small.layout.title.text
    assert "as in the paper" in small.layout.title.subtitle.text
    large = figures.roc_figure(points, auc, variant, "16x16", synthetic=True)
    assert [line.name.split(":")[0] for line in large.data] == ["vae_16x16_256", "chance"]


def test_localisation_figures() -> None:
    scored = scored_maps(cohort())
    table = localisation_table(scored, {}, 0)
    figure = figures.localisation_figure(table, "ap", "AP", "AP", synthetic=False)
    assert sum(len(line.x) for line in figure.data) == 3
    assert figure.layout.title.text == "AP"
    froc = figures.froc_figure(froc_table(scored, [2.0, 3.0, 4.0]), synthetic=True)
    assert len(froc.data) == 3
    assert list(froc.data[0].x) == [4, 1, 0]
    lesions = figures.lesion_figure(lesion_table(scored, {}, 0), synthetic=True)
    # At one false positive a scan, the middle threshold: every cyst, no infarct.
    (heat,) = lesions.data
    values = dict(zip(heat.x, np.asarray(heat.z)[0], strict=True))
    assert (values["cyst (3)"], values["infarct (3)"]) == (1.0, 0.0)


def test_any_network_is_told_from_a_baseline() -> None:
    scored = scored_maps(cohort(("std_8x8", "restorer", "pca")))
    figure = figures.localisation_figure(localisation_table(scored, {}, 0), "ap", "AP", "AP", synthetic=True)
    named = {line.name: sorted(label.split(",")[0] for label in line.y) for line in figure.data}
    assert named == {
        "network": ["residual of restorer", "residual of std_8x8"],
        "baseline without a network": ["residual of principal components"],
    }


def test_case_auc_figure(subjects: pd.DataFrame) -> None:
    auc = tables.auc_table(subjects, 0, variants=list(VARIANTS)[:1])
    figure = figures.case_auc_figure(auc, synthetic=True)
    assert [part.name for part in figure.data] == [
        "volume MSE",
        "cluster size",
        "normative top 0.1 %",
        "largest region",
    ]
    assert list(figure.data[1].x) == [0.5] * 3
