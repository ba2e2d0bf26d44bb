"""Analyses that readers have judged, as the feedback database says: none is done anew unasked.

``core`` reads three columns of the app's tables and writes nothing; ``tests/app/feedback/test_judged.py``
holds the list of tables to the app's models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, String, bindparam, column, create_engine, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from core.cluster import remote
from core.config import settings
from core.folder import Keep, keep_nothing
from core.io.derivatives import CasePaths

# Tables whose rows point at an analysis by its key.
TABLES = ("verdict", "missed_finding", "case_read", "adjudication")


class JudgedUnknown(ValueError):
    """The feedback database is there and can't be read, so nobody can say what readers have judged."""


def judged_in(connection: Connection, case_id: str) -> frozenset[tuple[str, str]]:
    """Model and key of each analysis of a scan that an answer names, by anybody, taken back or not."""
    there = set(inspect(connection).get_table_names())
    found: set[tuple[str, str]] = set()
    for name in TABLES:
        if name not in there:  # a database of an older version
            continue
        model, key, case = column("model", String), column("case_key", String), column("case_id", String)
        query = select(model, key).select_from(table(name)).where(case == bindparam("case")).distinct()
        found |= {(m, k) for m, k in connection.execute(query, {"case": case_id}) if m != ""}
    return frozenset(found)


def judged_analyses(url: str, case_id: str) -> frozenset[tuple[str, str]]:
    """``judged_in`` the database at an SQLAlchemy URL; none where its file is not there yet.

    Raises
    ------
    JudgedUnknown
        Where it can't be read.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not Path(str(parsed.database)).is_file():
                return frozenset()
            # Opened as it is: a reader of judgements makes no database.
            path = Path(str(parsed.database)).resolve()
            parsed = parsed.set(database=path.as_uri(), query={"mode": "rw", "uri": "true"})
        with create_engine(parsed, poolclass=NullPool).connect() as connection:
            return judged_in(connection, case_id)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise JudgedUnknown(
            f"the feedback database can't be read ({reason}), so it can't be told whether readers have "
            "judged this scan; mend FONTANELLE_DATABASE_URL or its file, or give --redo-judged"
        ) from error


@dataclass(frozen=True)
class JudgedRecords:
    """True for a record of the scan that answers point at.

    The database is asked each time, so that an answer given since the command began counts; ``known``
    replaces it where a cluster's worker can't reach it.
    """

    case_id: str
    known: frozenset[tuple[str, str]] | None = None

    def __call__(self, document: Mapping[str, Any]) -> bool:
        known = judged_analyses(settings().store_url, self.case_id) if self.known is None else self.known
        return (document.get("model"), document.get("key")) in known


class JudgedTask(Protocol):
    """What a step is told of one scan, and of what readers have judged of it."""

    @property
    def paths(self) -> CasePaths: ...

    @property
    def redo_judged(self) -> bool: ...

    @property
    def known(self) -> frozenset[tuple[str, str]] | None: ...


def keep_of(task: JudgedTask) -> Keep:
    """What a step may not remove: what readers have judged, where the app shows it, unless told to."""
    if task.redo_judged or task.paths.root.resolve() != settings().derivatives_dir.resolve():
        return keep_nothing
    return JudgedRecords(task.paths.stem, task.known)


def known_to_workers(task: JudgedTask) -> frozenset[tuple[str, str]] | None:
    """What is judged now, for a worker of a cluster; None where the worker can ask.

    Raises
    ------
    JudgedUnknown
    """
    if not remote() or keep_of(task) == keep_nothing:
        return None
    return judged_analyses(settings().store_url, task.paths.stem)
