"""Words for Streamlit's pages: what was typed, letter by letter, and counts."""

from __future__ import annotations

import re
import string

MARKS = re.compile(f"([{re.escape(string.punctuation)}])")


def literal(text: str) -> str:
    """Markdown that reads as ``text``: nothing in it is bold, a heading, a colour or a formula."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))


def scan_count(number: int) -> str:
    """``1 scan``, ``2 scans``."""
    return "1 scan" if number == 1 else f"{number} scans"
