"""About: says what this is not, cites the paper, shows each model's card."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import ROOT
from core.networks import zoo
from tests.app.pages.test_upload import model

PAGE = str(ROOT / "app" / "pages" / "about.py")


def run() -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=20).run()
    assert not at.exception, at.exception
    return at


def test_limits_citation_and_versions(data_dir: Path) -> None:
    at = run()
    assert at.warning[0].value.startswith("Fontanelle must not be used to diagnose")
    text = "\n".join(element.value for element in at.markdown)
    assert "Raad JD, Chinnam RB, Arslanturk S" in text
    assert "10.1038/s41598-023-38430-0" in text
    assert "**synthetic**" in text
    assert "Apache License 2.0" in text
    assert f"streamlit {importlib.metadata.version('streamlit')}" in at.caption[-1].value
    assert "no model yet" in at.info[0].value


def test_cards_of_the_models(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [model("std_8x8")]
    object.__setattr__(infos[0], "card", "# std_8x8\nTrained on ghosts.")
    monkeypatch.setattr(zoo, "list_models", lambda folder: infos)
    at = run()
    assert at.expander[0].label == "std_8x8 · 64³ · trained on synthetic data"
    assert "Trained on ghosts." in "\n".join(element.value for element in at.expander[0].markdown)


def test_broken_model_folder_is_named(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "bad").mkdir(parents=True)
    (tmp_path / "models" / "bad" / "config.json").write_text("{")
    assert "bad" in run().error[0].value
