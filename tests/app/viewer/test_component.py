"""What Python tells the viewer of a region, and that the viewer's sheet of keys is whole."""

from __future__ import annotations

import re
from dataclasses import replace
from math import pi
from pathlib import Path

import pytest

from app.viewer.component import HERE, mark
from core.io.derivatives import CasePaths, Region, read_regions
from tests.casefactory import write_case


@pytest.fixture
def region(tmp_path: Path) -> Region:
    """640 mm³ around a centroid that its peak is 5.8 mm away from."""
    case = write_case(tmp_path)
    return read_regions(CasePaths(tmp_path, case.subject, case.session).regions(case.model))[0]


def test_ring_is_the_sphere_of_equal_volume_at_the_centroid(region: Region) -> None:
    near = replace(region, peak_x_mm=region.x_mm + 5.0, peak_y_mm=region.y_mm, peak_z_mm=region.z_mm)
    found = mark(near)
    assert found.radius == pytest.approx((3 * 640 / (4 * pi)) ** (1 / 3))  # 5.3 mm
    assert found.centre == (near.x_mm, near.y_mm, near.z_mm)
    assert found.mm == (near.peak_x_mm, near.peak_y_mm, near.peak_z_mm)


def test_ring_is_at_the_peak_where_the_centroid_lies_outside(region: Region) -> None:
    far = replace(region, peak_x_mm=region.x_mm + 6.0, peak_y_mm=region.y_mm, peak_z_mm=region.z_mm)
    assert mark(far).centre == (far.x_mm + 6.0, far.y_mm, far.z_mm)


def test_the_sheet_names_every_key() -> None:
    script = (HERE / "viewer.js").read_text()
    sheet = script[script.index("const KEYS = [") : script.index("];", script.index("const KEYS = ["))]
    listed = {key for cell in re.findall(r'\["([^"]+)", "', sheet) for key in cell.split()}
    told = {"−": "-", "Space": " ", "Esc": "Escape", "↑": "ArrowUp", "↓": "ArrowDown"}
    told |= {"PgUp": "PageUp", "PgDn": "PageDown"}
    listed = {told.get(key, key) for key in listed}
    actions = script[script.index("const actions = {") : script.index("const scrolls = {")]
    keys = {a or b for a, b in re.findall(r'(?:"([^"]+)"|\b(\w+)): (?:\(\)|reset)', actions)}
    scrolls = re.search(r"const scrolls = \{([^}]*)\}", script)
    assert scrolls is not None
    keys |= set(re.findall(r"(\w+):", scrolls[1]))
    assert {"n", "0", " ", "?", "e", "Escape", "PageUp"} <= keys, "the test reads the keys"
    assert keys - listed == set()
