"""The picture of a preparation, and the word on BET's mask."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.review.preparation import picture
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord, write_record
from tests.app.review.test_page import page, ran, text
from tests.casefactory import write_case

WORDS = "Brain mask extracted by BET: check its outline."


def prepared(source: str) -> tuple[CaseRecord, CasePaths]:
    """A case of a given mask source whose record names a cube of 64, as ``core.case`` writes it."""
    root = settings().derivatives_dir
    case = write_case(root)
    case = replace(case, mask_source=source, settings={"prepare": {"cube": 64}})
    paths = CasePaths(root, case.subject, case.session)
    write_record(case, paths.case_json(case.model))
    return case, paths


def draw(paths: CasePaths, cube: int = 64) -> Path:
    stream = BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PNG")
    paths.qc(cube).write_bytes(stream.getvalue())
    return paths.qc(cube)


def banners(at: AppTest) -> list[str]:
    return [one.value for one in at.warning if "BET" in one.value]


@pytest.mark.parametrize("source", ["given", "stripped", "command"])
def test_other_masks_need_no_word(data_dir: Path, source: str) -> None:
    prepared(source)
    assert banners(page()) == []


def test_a_mask_of_bet_is_told_with_its_outline(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, paths = prepared("bet")
    drawn = draw(paths).read_bytes()
    shown: list[bytes] = []
    monkeypatch.setattr(st, "image", shown.append)
    assert banners(page()) == [WORDS]
    assert drawn in shown


def test_the_picture_is_that_of_the_cube_analysed(data_dir: Path) -> None:
    case, paths = prepared("given")
    draw(paths, cube=128)
    assert picture(case, paths) is None
    assert draw(paths) == picture(case, paths)
    assert picture(replace(case, settings={}), paths) is None


def test_a_missing_picture_is_said(data_dir: Path) -> None:
    prepared("bet")
    at = page()
    assert banners(at) == [WORDS]
    assert "The picture of this preparation is missing" in text(at)


def test_every_case_has_a_tab_with_it(data_dir: Path) -> None:
    prepared("given")
    at = page()
    assert "Preparation" in [tab.label for tab in at.tabs]
    assert "picture of this preparation" not in text(ran(at)), "worked out only when opened"
