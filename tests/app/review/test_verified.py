"""A verdict waits until scan, mask, reconstruction and the map that is read are on screen, and no other's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.review import reading

HASHES = {"base": "b", "mask": "m", "reconstruction": "r", "z-volume": "v", "z-normative": "n"}
ENOUGH = {kind: HASHES[kind] for kind in ("base", "mask", "reconstruction", "z-volume")}


@pytest.mark.parametrize(
    ("blind", "hashes", "name", "expected"),
    [
        (False, ENOUGH, "volume", True),
        (False, HASHES, "volume", True),  # another map was asked for before
        (False, ENOUGH | {"z-volume": "old"}, "volume", False),
        (False, ENOUGH | {"z-normative": "old"}, "volume", False),
        (False, ENOUGH, "normative", False),  # it is on its way
        (False, {"base": "b", "mask": "m"}, "volume", False),
        (False, {}, "volume", False),
        (True, {"base": "b", "mask": "m"}, "", True),
        (True, {"base": "b"}, "", False),
        (True, ENOUGH, "", False),  # of an aided read
    ],
)
def test_verified(
    monkeypatch: pytest.MonkeyPatch, blind: bool, hashes: dict[str, str], name: str, expected: bool
) -> None:
    said = {"case": "sub-a", "hashes": hashes, "map": name}
    monkeypatch.setattr(reading.st, "session_state", {"reading_loaded": said})
    now: Any = SimpleNamespace(
        record=SimpleNamespace(case_id="sub-a"), hashes=HASHES, blind=blind, name=name or "volume"
    )
    assert reading.verified(now, False) is expected
    assert reading.verified(now, True) is True
    now.record.case_id = "sub-b"
    assert reading.verified(now, False) is False
