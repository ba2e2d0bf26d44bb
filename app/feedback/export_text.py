"""Tables as text: cells that no spreadsheet runs, CSV, and TSV as BIDS has it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What spreadsheets take for the start of a formula, the full-width signs of East Asian keyboards too; and
# such a start behind apostrophes, so that taking one away always gives the text back.
_RUNS = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# BIDS cells hold neither tabs nor line breaks.
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
MISSING = "n/a"


def inert(value: object) -> object:
    """Text that a spreadsheet would run gets a leading apostrophe; everything else stays."""
    return f"'{value}" if isinstance(value, str) and _RUNS.match(value) else value


def cell(value: Any) -> Any:
    """A value as a cell of text: 1 and 0 for yes and no, JSON for what has parts."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return inert(value)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV; nothing where nothing was given."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row[column]) for column in columns] for row in rows)
    return stream.getvalue()


def tsv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    r"""Rows as BIDS TSV: n/a where nothing was given; tab, line break and backslash as \t, \n, \r, \\.

    A text that is n/a itself is written n\/a.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_bids(cell(row[column])) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _bids(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if value == MISSING:
        return "n\\/a"
    return "".join(_ESCAPES.get(character, character) for character in str(value))
