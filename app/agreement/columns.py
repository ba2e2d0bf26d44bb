"""Columns of the Agreement page's tables: one without rows has its header too; and how they are shown."""

from __future__ import annotations

import pandas as pd

from app.agreement.figures import in_words

CHANGES = ("changed", "helped", "harmed")
SHARE = ["share", "low", "high"]
KAPPA = ["kappa", "low", "high", "note"]
COLUMNS = {
    "accepted": ["group", "verdicts", "accepted", "rejected", "unsure", "scans", *SHARE],
    "missed": ["group", "readings", "missed", "scans", "a reading", "low", "high"],
    "pairs": ["readers", "items", "scans", "percent", *KAPPA],
    "repeats": ["what", "reader", "items", "scans", "same answer", *KAPPA],
    "change": [
        "reader",
        "readings",
        "known",
        *(f"{what}{of}" for what in CHANGES for of in ("", " share", " low", " high")),
    ],
    "seconds": ["reader", "phase", "readings", "median", "quartile 1", "quartile 3"],
    "planted": [
        "reader",
        "readings",
        "right",
        *SHARE,
        "abnormal",
        "abnormal found",
        "normal",
        "normal passed",
    ],
}


def folded(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with each share of changed classes and its interval in one column: they fit the page."""
    shown = table.copy()
    for what in CHANGES:
        of = [f"{what} {part}" for part in SHARE]
        if set(of) <= set(shown):
            share, low, high = (shown[name].tolist() for name in of)
            shown[of[0]] = in_words(share, low, high, percent=True)
            shown = shown.drop(columns=of[1:])
    return shown
