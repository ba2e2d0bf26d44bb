from __future__ import annotations

from pathlib import Path

import pytest

from app.feedback.store import Store, VerdictInput, new_id, open_store
from core.io.derivatives import Region


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'feedback.sqlite'}"


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


def region(id: str = "r01", **changes: object) -> Region:
    values: dict[str, object] = {
        "id": id,
        "map": "normative",
        "sign": 1,
        "band": "4+",
        "volume_mm3": 640.5,
        "peak_z": 5.25,
        "mean_z": 4.5,
        "x_mm": -8.0,
        "y_mm": 8.0,
        "z_mm": 7.5,
        "i": 6,
        "j": 16,
        "k": 14,
        "peak_x_mm": -11.0,
        "peak_y_mm": 5.0,
        "peak_z_mm": 3.75,
        "side": "left",
        "slice_axial": 12,
    }
    return Region(**(values | changes))  # type: ignore[arg-type]


def given(reader_id: int, **changes: object) -> VerdictInput:
    values: dict[str, object] = {
        "id": new_id(),
        "reader_id": reader_id,
        "case_id": "sub-a_ses-01",
        "model": "vae_8x8_512",
        "model_hash": "m" * 64,
        "input_hash": "i" * 64,
        "case_key": "k" * 64,
        "region": region(),
        "verdict": "agree",
    }
    return VerdictInput(**(values | changes))  # type: ignore[arg-type]
