"""What the tables of a BIDS data set say of one scan: participants.tsv and dHCP's sub-*_sessions.tsv."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ABSENT = ("", "n/a", "nan")
POOR_QUALITY = 6  # dHCP writes Q: anatomical images of poor quality, not a finding


class BidsError(ValueError):
    """A label, table or folder that is not BIDS; the text names it, what was found and what was expected."""


@dataclass(frozen=True)
class Facts:
    """Values of one scan, each with the table that it comes from, for errors."""

    case: str
    values: dict[str, str]
    tables: dict[str, str]

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def number(self, names: Sequence[str]) -> float | None:
        """The first column of ``names`` that has a value.

        Raises
        ------
        BidsError
            Where that is no finite number.
        """
        name = next((name for name in names if name in self.values), None)
        if name is None:
            return None
        try:
            value = float(self.values[name])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BidsError(self._bad(name, "a number or n/a"))
        return value

    def score(self) -> int | None:
        """dHCP radiology score, 1 to 5, or ``POOR_QUALITY``.

        Raises
        ------
        BidsError
            On any other value.
        """
        told = self.values.get("radiology_score")
        if told is None:
            return None
        if told.upper() == "Q":
            return POOR_QUALITY
        if re.fullmatch(r"[1-5](\.0+)?", told, re.ASCII) is None:
            raise BidsError(self._bad("radiology_score", "1 to 5, Q or n/a"))
        return int(told[0])

    def _bad(self, name: str, expected: str) -> str:
        return f"{self.tables[name]}: {self.case}: {name} is {self.values[name]!r}; expected {expected}"


@dataclass(frozen=True)
class Tables:
    """The tables below ``root``; ``columns`` are those of every table read so far."""

    root: Path
    columns: set[str] = field(default_factory=set)
    rows: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", self._read(self.root / "participants.tsv", "participant_id"))

    @property
    def participants(self) -> list[str]:
        """Labels in participants.tsv, with "sub-", in order."""
        told = [row["participant_id"] for row in self.rows]
        return list(dict.fromkeys(one if one.startswith("sub-") else f"sub-{one}" for one in told))

    def facts(self, subject: str, session: str) -> Facts:
        """What is said of one session; the session's own table wins.

        Raises
        ------
        BidsError
            Where a table can't be read, or two of its rows contradict each other.
        """
        own = f"{subject}_sessions.tsv"
        mine = [row for row in self.rows if _same(row["participant_id"], subject, "sub")]
        found: dict[str, str] = {}
        tables: dict[str, str] = {}
        sources = (
            ("participants.tsv", mine),
            (own, self._read(self.root / subject / own, "session_id")),
        )
        for table, rows in sources:
            # A row for any session says less than one for this.
            exact = [row for row in rows if _same(row.get("session_id", ""), session, "ses")]
            general = [row for row in rows if row.get("session_id", "").lower() in ABSENT]
            for fitting in (general, exact):
                told = _merged(fitting, f"{table}: {subject} {session}")
                found |= told
                tables |= dict.fromkeys(told, table)
        return Facts(f"{subject} {session}", found, tables)

    def _read(self, path: Path, key: str) -> list[dict[str, str]]:
        """Rows of a TSV; none where the file is missing."""
        if not path.is_file():
            return []
        columns, rows = read_table(path, (key,))
        self.columns.update(columns)
        return rows


def read_table(path: Path, needed: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a TSV with a header.

    Raises
    ------
    BidsError
        Where it is no such table, one of the ``needed`` columns is missing, or a row has no value for one
        of them or more cells than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter="\t", restkey="\t", strict=True)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            if missing := [name for name in needed if name not in columns]:
                raise BidsError(f"{path.name}: columns {columns}; expected {', '.join(missing)} among them")
            rows = []
            for row in reader:
                extra = row.pop("\t", [])
                if any(cell.strip() for cell in extra):
                    raise BidsError(
                        f"{path.name}: line {reader.line_num} has {len(columns) + len(extra)} cells; "
                        f"expected {len(columns)}"
                    )
                rows.append({name: (value or "").strip() for name, value in row.items() if name})
                if empty := [name for name in needed if rows[-1][name] == ""]:
                    raise BidsError(
                        f"{path.name}: line {reader.line_num} has no {empty[0]}; expected one in each row"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise BidsError(f"{path.name}: {error}; expected tab-separated text") from error
    return columns, rows


def _merged(rows: list[dict[str, str]], where: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if value.lower() in ABSENT:
                continue
            if merged.setdefault(name, value) != value and name not in ("participant_id", "session_id"):
                raise BidsError(
                    f"{where}: {name} is {merged[name]!r} in one row, {value!r} in another; expected one"
                )
    return merged


def _same(told: str, label: str, entity: str) -> bool:
    """dHCP's tables leave the prefix out."""
    return told == label or f"{entity}-{told}" == label
