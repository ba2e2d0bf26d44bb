"""Nothing of these tests is kept in the repository's own data folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_data(data_dir: Path) -> Path:
    return data_dir
