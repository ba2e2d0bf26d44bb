"""What Python tells the viewer of a region, and that the viewer's sheet of keys is whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import pi
from pathlib import Path
from typing import Any

import pytest

from app.viewer.component import HERE, Scene, Spot, Volume, mark, payload, script, visible
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
    controls, text = (HERE / "controls.js").read_text(), (HERE / "input.js").read_text()
    starts = (controls.index(f"const {name} = [") for name in ("READ_KEYS", "LOOK_KEYS"))
    sheet = "".join(controls[start : controls.index("\n];", start)] for start in starts)
    listed = {key for cell in re.findall(r'\["([^"]+)", "', sheet) for key in cell.split()}
    told = {"−": "-", "Space": " ", "Esc": "Escape", "↑": "ArrowUp", "↓": "ArrowDown"}
    told |= {"PgUp": "PageUp", "PgDn": "PageDown"}
    listed = {told.get(key, key) for key in listed}
    keys = text[text.index("const keys = {") : text.index("const scrolls = {")]
    found = {a or b for a, b in re.findall(r'(?:"([^"]+)"|\b(\w+)): \(\)', keys)}
    scrolls = re.search(r"const scrolls = \{([^}]*)\}", text)
    assert scrolls is not None
    found |= set(re.findall(r"(\w+):", scrolls[1]))
    assert {"n", "0", " ", "?", "[", "g", "Escape", "PageUp"} <= found, "the test reads the keys"
    assert found - listed == set()


def scene(region: Region, **changes: Any) -> Scene:
    """A case with all its volumes, one region and one marked finding."""
    kinds = ("base", "mask", "reconstruction", "z-volume", "z-normative")
    plain = Scene(
        address="a" * 64,
        case="sub-a_ses-01",
        model="vae_8x8_512",
        synthetic=True,
        stored="LAS",
        niivue="/niivue.js",
        volumes={kind: Volume(f"/volume/token-{kind}/{kind}.nii.gz", f"hash-{kind}") for kind in kinds},
        map="normative",
        weak=True,
        regions=[mark(region)],
        selected=region.id,
        jump={"mm": (1.0, 2.0, 3.0), "nonce": "n"},
        missed=(Spot((4.0, 5.0, 6.0), 7.5),),
        threshold="regions of 20 mm³ or more",
    )
    return replace(plain, **changes)


def test_an_unaided_read_sends_nothing_that_the_model_found(region: Region) -> None:
    sent = payload(scene(region, blind=True, phase="unaided"))
    assert sorted(sent["volumes"]) == ["base", "mask"]
    text = json.dumps(sent)
    for word in ("reconstruction", "z-volume", "normative", region.id, "20 mm³", "#"):
        assert word not in text
    assert list(sent["missed"]) == [{"mm": (4.0, 5.0, 6.0), "radius": 7.5, "label": ""}]
    assert sent["phase"] == "unaided"
    assert visible(["z-volume", "base", "mask"], blind=True) == ["base", "mask"]


def test_a_second_read_sends_the_same_scan_and_the_rest(region: Region) -> None:
    before, after = payload(scene(region, blind=True)), payload(scene(region))
    assert after["volumes"]["base"] == before["volumes"]["base"]
    assert len(after["volumes"]) == 5
    assert [one["id"] for one in after["regions"]] == [region.id]
    assert (after["selected"], after["map"]) == (region.id, "normative")


def test_maps_are_named_by_python_as_many_as_there_are(region: Region) -> None:
    maps = payload(scene(region))["maps"]
    assert [(one["name"], one["kind"], one["label"]) for one in maps[:2]] == [
        ("volume", "z-volume", "Volume z"),
        ("normative", "z-normative", "Normative z"),
    ]
    only = scene(region, volumes={"base": Volume("/b", "h"), "z-normative": Volume("/n", "h")})
    assert [one["name"] for one in payload(only)["maps"]] == ["normative"]


def test_script_joins_files_in_order(tmp_path: Path) -> None:
    mine = tmp_path / "mine.js"
    mine.write_text("export default function () {}")
    joined = script("base.js", mine)
    assert joined.startswith((HERE / "base.js").read_text())
    assert joined.endswith("export default function () {}")
