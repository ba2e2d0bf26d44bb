"""Words for Streamlit's pages."""

from __future__ import annotations

import pytest

from app.words import scan_count


@pytest.mark.parametrize(("number", "words"), [(0, "0 scans"), (1, "1 scan"), (2, "2 scans")])
def test_scan_count(number: int, words: str) -> None:
    assert scan_count(number) == words
