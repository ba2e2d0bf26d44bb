"""The app on a data folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from core.config import settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder and models folder that ``settings()`` points to."""
    folder = tmp_path / "data"
    monkeypatch.setenv("FONTANELLE_DATA_DIR", str(folder))
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("FONTANELLE_DATABASE_URL", raising=False)
    settings.cache_clear()
    st.cache_resource.clear()
    yield folder
    settings.cache_clear()
    st.cache_resource.clear()
