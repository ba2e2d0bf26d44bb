"""Which regions an operating point keeps, and the file that carries it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.anomaly.operating import FILE, Point, kept, load_point, rates_kept, save_point
from core.anomaly.residual import AnomalyError
from tests.app.feedback.conftest import region

POINT = {"volume": Point("3-4", 250.0, 100.0)}


def test_band_and_floor_of_one_map() -> None:
    listed = [
        region("large", map="volume", band="3-4", volume_mm3=250.0),
        region("small", map="volume", band="4+", volume_mm3=249.9),
        region("weak", map="volume", band="2-3", volume_mm3=900.0),
        region("strong", map="volume", band="4+", volume_mm3=300.0),
        region("other", map="normative", band="2-3", volume_mm3=100.0),
    ]
    assert [one.id for one in kept(listed, POINT, 100.0)] == ["large", "strong", "other"]
    assert kept(listed, {}, 100.0) == listed


def test_an_analysis_own_floor_takes_none_of_its_smaller_regions() -> None:
    # The fused map lists regions below the floor where it is sure.
    small = region("small", map="fused", band="3-4", volume_mm3=36.0)
    assert kept([small], {"fused": Point("3-4", 100.0, 100.0)}, 100.0) == [small]
    assert kept([small], {"fused": Point("3-4", 120.0, 100.0)}, 100.0) == []


def test_a_point_for_regions_of_another_floor_is_refused() -> None:
    with pytest.raises(
        AnomalyError, match="volume map is for regions of 100 mm³ or more; the analysis asks for 80"
    ):
        kept([], POINT, 80.0)


def test_false_alarms_of_normals_that_still_hold() -> None:
    rates = {"volume": {"2-3": 9.0, "3-4": 2.0, "4+": 0.5}, "normative": {"2-3": 1.0}}
    assert rates_kept(rates, {}) == rates
    assert rates_kept(rates, POINT) == {"normative": {"2-3": 1.0}}  # a higher floor: not counted
    same = {"volume": Point("3-4", 100.0, 100.0)}
    assert rates_kept(rates, same)["volume"] == {"3-4": 2.0, "4+": 0.5}


def test_round_trip(tmp_path: Path) -> None:
    path = save_point(POINT, {"seed": 3}, tmp_path)
    assert path.name == FILE
    assert load_point(path) == POINT
    assert json.loads(path.read_text())["about"] == {"seed": 3}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": 9}, "schema 9; expected 1"),
        ({"maps": {"volume": {"band": "5+", "floor_mm3": 200, "base_mm3": 100}}}, "band '5\\+'"),
        ({"maps": {"residual": {"band": "4+", "floor_mm3": 200, "base_mm3": 100}}}, "residual"),
        ({"maps": {"volume": {"band": "4+", "floor_mm3": 50, "base_mm3": 100}}}, "50 and 100 mm³"),
        ({"maps": {"volume": {"band": "4+"}}}, "expected what calibrate --from-feedback writes"),
        ({"maps": []}, "expected what calibrate --from-feedback writes"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object], text: str) -> None:
    path = save_point(POINT, {}, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(AnomalyError, match=text):
        load_point(path)
