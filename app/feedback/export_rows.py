"""The rows of an export as of one moment, whose they are, and what must be said beside them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import JSON, Boolean, select, text

from app.feedback.blinding import Answers, sitting
from app.feedback.database import Store, transaction
from app.feedback.export_dictionary import STANDING, TABLES
from app.feedback.rows import Missed, SavedVerdict, standing_missed, standing_verdicts
from app.feedback.writing import now_utc
from core import __version__

Row = dict[str, Any]
Scan = tuple[str, str]  # case id, input hash

CONVENTION = (
    "Positions are RAS+ world millimetres of the scan: x to the patient's right, y to the front, z up. Shown "
    "in radiological display: image right is patient left. Sign +1 is brighter and -1 darker than expected; "
    "bands are |z| of 2-3, 3-4 and 4+."
)
OWN = ("verdict", "missed_finding", "case_read", "case_event", "adjudication", "answers_seen")
LEAST_SECRET = 16  # characters


@dataclass(frozen=True)
class Exported:
    """Rows of every exported table, JSON and booleans as such.

    ``scope``: whose rows, in words. ``synthetic``: of scans, where that is known.
    """

    tables: dict[str, list[Row]]
    taken_utc: str
    scope: str
    synthetic: Mapping[Scan, bool]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {name: len(rows) for name, rows in self.tables.items()}


def take(store: Store, synthetic: Mapping[Scan, bool] | None = None) -> Exported:
    """Every row, read in one transaction: what others save meanwhile is in whole or not at all.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    tables: dict[str, list[Row]] = {}
    with transaction(store, write=False) as session:
        if store.engine.dialect.name == "postgresql":
            # Its default would show each query another moment; SQLite shows all queries one.
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        for table in TABLES:
            # Of a reader's rows in the order of saving, so that chains of answers can be followed.
            order = [table.c.reader_id, table.c.seq] if "seq" in table.c else [*table.primary_key]
            rows = [dict(row) for row in session.execute(select(table).order_by(*order)).mappings()]
            for column in table.columns:
                if isinstance(column.type, Boolean):
                    for row in rows:
                        row[column.name] = bool(row[column.name])
            tables[table.name] = rows
    for name, stand in _STAND.items():
        standing = stand(tables[name])
        for row in tables[name]:
            row[STANDING] = row["id"] in standing
    return Exported(tables, now_utc(), "all readers", {} if synthetic is None else dict(synthetic))


def of_reader(exported: Exported, reader_id: int) -> Exported:
    """One reader's own answers, with the vocabulary; not for which reason a scan was served."""
    tables = {
        name: [row for row in rows if row["reader_id"] == reader_id] if name in OWN else []
        for name, rows in exported.tables.items()
    }
    tables["reader"] = [row for row in exported.tables["reader"] if row["id"] == reader_id]
    tables["finding_type"] = exported.tables["finding_type"]
    return replace(exported, tables=tables, scope="one reader")


def visible(exported: Exported, answers: Answers) -> Exported:
    """What the viewer of ``answers`` may know: their own rows, and finished readings of closed scans.

    A batch with scans that are still open keeps its scans and known answers to itself.
    """
    finished = {sitting(row) for row in answers.reads}
    scans = answers.scans

    def mine(row: Row) -> bool:
        at = (row["reader_id"], row["case_id"], row["input_hash"], row.get("pass_number", 1))
        return row["reader_id"] == answers.viewer or at in finished

    def closed(row: Row) -> bool:
        return (row["case_id"], row["input_hash"]) in scans

    given = exported.tables
    of_scans = ("adjudication", "answers_seen")
    tables = {name: [row for row in given[name] if mine(row)] for name in OWN if name not in of_scans}
    tables |= {name: [row for row in given[name] if closed(row)] for name in of_scans}
    tables["assignment"] = [row for row in given["assignment"] if closed(row)]
    opened = {row["batch_id"] for row in given["assignment"] if not closed(row)}
    kept = {row["batch_id"] for row in tables["assignment"]}
    tables["assignment_batch"] = [
        row | {"settings": {}} if row["id"] in opened else row
        for row in given["assignment_batch"]
        if row["id"] in kept
    ]
    tables["finding_type"] = given["finding_type"]
    known = {row["reader_id"] for name in (*OWN, "assignment") for row in tables[name]}
    known |= {row["created_by"] for row in tables["assignment_batch"]} | {answers.viewer}
    tables["reader"] = [row for row in given["reader"] if row["id"] in known]
    return replace(
        exported,
        tables={name: tables[name] for name in given},
        scope="own answers, and finished readings of closed scans",
    )


def pseudonymous(exported: Exported, secret: str) -> Exported:
    """Readers' names replaced: the same secret gives the same reader the same name, in every export.

    Raises
    ------
    ValueError
        Where the secret is short, or two readers would share a name.
    """
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"the secret has {len(secret)} characters, expected {LEAST_SECRET} or more")
    readers = [
        row | {"name": pseudonym(secret, row["source"], row["name"])} for row in exported.tables["reader"]
    ]
    if len({row["name"] for row in readers}) < len(readers):
        raise ValueError("two readers would share a name; use another secret")
    return replace(exported, tables=exported.tables | {"reader": readers})


def pseudonym(secret: str, source: str, name: str) -> str:
    """A name that only whoever has the secret, and guesses the true one, can tie to it."""
    digest = hmac.new(secret.encode(), f"{source}|{name}".encode(), hashlib.sha256).digest()
    return "reader-" + base64.b32encode(digest)[:10].decode().lower()


def about(exported: Exported) -> dict[str, Any]:
    """What every format says beside the rows: software, convention, models with hashes, synthetic or not."""
    models: dict[tuple[str, str], set[str]] = {}
    scans: set[Scan] = set()
    for name in ("case_read", "verdict", "missed_finding"):
        for row in exported.tables[name]:
            models.setdefault((row["model"], row["model_hash"]), set()).add(row["map"])
            scans.add((row["case_id"], row["input_hash"]))
    known = Counter(exported.synthetic.get(scan) for scan in scans)
    return {
        "software": f"fontanelle {__version__}",
        "taken_utc": exported.taken_utc,
        "scope": exported.scope,
        "convention": CONVENTION,
        "models": [
            {"model": model, "model_hash": hash, "maps": sorted(maps)}
            for (model, hash), maps in sorted(models.items())
        ],
        "scans": len(scans),
        "synthetic_scans": known[True],
        "other_scans": known[False],
        "scans_not_at_hand": known[None],
        "note": "SYNTHETIC scans are among these: no figure of theirs is clinical." if known[True] else "",
        "rows": exported.counts,
    }


def _typed(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != STANDING}


def _verdicts(rows: Iterable[Row]) -> set[str]:
    chains: dict[int, list[SavedVerdict]] = {}
    for row in rows:
        chains.setdefault(row["reader_id"], []).append(SavedVerdict(**_typed(row)))
    return {one.id for chain in chains.values() for one in standing_verdicts(chain)}


def _marks(rows: Iterable[Row]) -> set[str]:
    return {one.id for one in standing_missed(Missed(**_typed(row)) for row in rows)}


def _chains(rows: Iterable[Row]) -> set[str]:
    """Newest row of each chain that is not taken back; a retracting row uncovers what it covered.

    Chains are followed by their links: those of decisions run across people.
    """
    every = list(rows)
    heirs = {row["supersedes"]: row for row in every if row["supersedes"] is not None}
    found: set[str] = set()
    for head in (row for row in every if row["supersedes"] is None):
        stack: list[str] = []
        link: Row | None = head
        while link is not None:
            if link["retracted"]:
                stack.pop()
            else:
                stack.append(link["id"])
            link = heirs.get(link["id"])
        found.update(stack[-1:])
    return found


_STAND: dict[str, Callable[[list[Row]], set[str]]] = {
    "verdict": _verdicts,
    "missed_finding": _marks,
    "case_read": _chains,
    "adjudication": _chains,
}
JSON_COLUMNS = {
    (table.name, column.name) for table in TABLES for column in table.columns if isinstance(column.type, JSON)
}
