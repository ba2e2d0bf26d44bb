"""A subject's point on the Cohort page opens that subject in Review."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.evaluation.report import Evaluation, write_evaluation
from tests.browser.conftest import Server, Tab
from tests.core.evaluation.fakes import evaluation


@pytest.fixture
def evaluated(server: Server) -> Iterator[Path]:
    """An evaluation whose last abnormal scan by the middle model is a case that the server has."""
    made = evaluation()
    subjects = made.tables["subjects"].replace({"case": {"sub-12_ses-01": server.cases["LAS"].case_id}})
    folder = server.data / "evaluation" / "phantoms"
    write_evaluation(
        Evaluation(replace(made.facts, left_out={}), {**made.tables, "subjects": subjects}), folder
    )
    yield folder
    for path in folder.iterdir():
        path.unlink()


def test_a_click_on_a_point_opens_the_scan_in_review(tab: Tab, evaluated: Path) -> None:
    tab.page.goto(tab.server.url)
    tab.page.get_by_role("link", name="Cohort").click()
    figure = tab.page.locator(".js-plotly-plot").first
    expect(figure).to_contain_text("Figure 3")
    # Of the last group the last point: the highest MSE of the last model.
    point = figure.locator(".boxlayer .trace.boxes").last.locator("path.point").last
    point.hover(force=True)
    expect(figure.locator(".hoverlayer")).to_contain_text(tab.server.cases["LAS"].case_id)
    point.click(force=True)
    tab.name("Cora")
    tab.shows(tab.server.cases["LAS"])
