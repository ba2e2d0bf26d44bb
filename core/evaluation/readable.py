"""Tables as people read them: a value with its interval in one cell, few digits, plain headings."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Lines that share these cells show them once.
GROUPED = {"lesions": ["method", "fitted on", "class", "name"]}
LEFT_OUT = {name: ["scorer", "map"] for name in ("lesions", "localisation")}  # said by the method
NOTHING = "–"


def number(value: object, digits: int = 3) -> str:
    """``digits`` significant digits of a fraction; whole numbers as they are; a dash for none."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, float | np.floating):
        return str(value)
    plain = float(value)
    if not np.isfinite(plain):
        return NOTHING
    shown = f"{plain:.{digits}g}"
    return shown if "e" not in shown or abs(plain) < 1 else f"{plain:.0f}"


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The same lines as text, a value and its interval as "0.41 (0.2 to 0.6)".

    The interval of ``x`` is in the columns after it, ``x_low`` and ``x_high`` or ``ci_low`` and ``ci_high``;
    where it is absent the value stands alone.
    """
    found: dict[str, list[str]] = {}
    columns = list(table.columns)
    for place, column in enumerate(columns):
        if column.endswith(("_low", "_high")):
            continue
        following = columns[place + 1] if place + 1 < len(columns) else ""
        stem = next((one for one in (column, "ci") if following == f"{one}_low"), None)
        cells = [number(value) for value in table[column]]
        if stem is not None:
            ends = table[[f"{stem}_low", f"{stem}_high"]].to_numpy(np.float64)
            cells = [
                f"{cell} ({number(low, 2)} to {number(high, 2)})" if np.isfinite([low, high]).all() else cell
                for cell, (low, high) in zip(cells, ends, strict=True)
            ]
        found[column.replace("_", " ")] = cells
    return pd.DataFrame(found, columns=list(found))


def html_table(name: str, table: pd.DataFrame) -> str:
    """A table of ``TITLES`` as HTML; what a line shares with the one above is left blank where it groups.

    An interval is not broken over two lines.
    """
    shown = readable(table.drop(columns=LEFT_OUT.get(name, []), errors="ignore"))
    same = np.ones(len(shown), bool)
    blank = {}
    for column in GROUPED.get(name, []):
        same &= (shown[column] == shown[column].shift()).to_numpy(bool)
        blank[column] = shown[column].mask(same, "")
    whole = shown.assign(**blank).replace(r"\((\S+) to (\S+)\)", "(\\1\u00a0to\u00a0\\2)", regex=True)
    return str(whole.to_html(index=False, border=0))
