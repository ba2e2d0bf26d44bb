"""What a reader typed, as Streamlit's Markdown shows it: letter by letter."""

from __future__ import annotations

import re
import string

MARKS = re.compile(f"([{re.escape(string.punctuation)}])")


def literal(text: str) -> str:
    """Markdown that reads as ``text``: nothing in it is bold, a heading, a colour or a formula."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))
