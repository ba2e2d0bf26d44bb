"""Columns of the Agreement page's tables, so that one without rows has its header too."""

from __future__ import annotations

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
        *(
            f"{what}{of}"
            for what in ("changed", "helped", "harmed")
            for of in ("", " share", " low", " high")
        ),
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
