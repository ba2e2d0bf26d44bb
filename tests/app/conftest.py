"""The app on a data folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from app import identity
from core.config import settings


def keep_navigation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``AppTest`` run ``app/main.py`` each time, as ``app/server.py`` does.

    It resets the flag before every run, and would run the pages beside main.py alone from the second on.
    """
    begin = PagesManager.__init__

    def without_folder(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        PagesManager.uses_pages_directory = False
        begin(self, *args, **kwargs)

    monkeypatch.setattr(PagesManager, "__init__", without_folder)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder and models folder that ``settings()`` points to."""
    folder = tmp_path / "data"
    monkeypatch.setenv("FONTANELLE_DATA_DIR", str(folder))
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("FONTANELLE_DATABASE_URL", raising=False)
    settings.cache_clear()
    st.cache_resource.clear()
    keep_navigation(monkeypatch)
    monkeypatch.setattr(identity, "WAIT_S", 0.0)  # AppTest has no tab that keeps a name
    yield folder
    settings.cache_clear()
    st.cache_resource.clear()
