"""Verdicts as CSV and JSON with a data dictionary. ``python -m app.feedback.export --out DIR``."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlite_utils
from sqlalchemy import JSON, Boolean, select

from app.feedback.database import Store, StoreError, open_store, transaction
from app.feedback.models import TEACHING, Base, Draft
from core.config import settings
from core.io.atomic import atomic, write_bytes

# Every answer; a draft is none, and lessons are no clinical reads.
TABLES = [
    table for table in Base.metadata.sorted_tables if table.name not in (Draft.__tablename__, *TEACHING)
]
# What each column holds; a test holds this list against the tables.
DICTIONARY: dict[str, str] = {
    "id": "Key of the row; a UUID made when the form was shown, but in reader a number",
    "name": "Reader's name as given; of a finding type its key in answers; of a batch its title",
    "source": "How the reader is known: typed (unverified), oidc (login) or header (set by a proxy)",
    "created_utc": "Time of saving, UTC, ISO 8601",
    "seq": "Position among the reader's rows of this table, from 1",
    "reader_id": "Reader who answered: id in the table reader",
    "case_id": "Subject and session of the scan, sub-…_ses-…",
    "model": "Network whose flags were read",
    "model_hash": "SHA-256 of the network's folder",
    "input_hash": "SHA-256 of the scan",
    "case_key": "Content address of the analysis: scan, mask, network and settings",
    "map": "Kind of z map, for example volume (the paper's) or normative (against held-out normals)",
    "region_id": "Flagged region within the analysis",
    "region": "The region as shown: band, sign, volume_mm3, peak_z, mean_z, position in RAS+ mm; JSON",
    "verdict": "agree (a finding), disagree (a false alarm) or unsure",
    "x_mm": "Right of the origin, mm, in the scan's RAS+ world",
    "y_mm": "In front of the origin, mm",
    "z_mm": "Above the origin, mm",
    "radius_mm": "Radius of the marked sphere, mm",
    "phase": "first: before the model's flags were shown; second: after",
    "finding_type": "What the finding is: name of a row of finding_type; empty where none was chosen",
    "confidence": "Reader's confidence, 1 (low) to 5 (high); empty where none was given",
    "pass_number": "The reader's nth reading of the scan: more than 1 where it was served again",
    "unaided": "1 where the flags were hidden until a first read was locked",
    "classification": "normal, 1A, 1B, 2A, 2B, 3 (scheme of the paper's reference 33), or inadequate image",
    "active_seconds": "Seconds at work in this phase: tab visible, reader active",
    "kind": "Of an event: opened, skipped, resumed; of an assignment: case, repeat, planted",
    "detail": "Of an event: why the scan was skipped, or in which order of the worklist it was opened",
    "label": "Finding type as readers see it",
    "position": "Place in the list, from 1",
    "retired": "1 where the term is offered no more",
    "created_by": "Reader who made the batch: id in the table reader",
    "seed": "Of the random order and distribution",
    "ordering": "Order of a reader's scans: random, score or given",
    "readers_per_case": "How many readers get each scan",
    "repeat_fraction": "Share of a reader's scans that are served again",
    "settings": "Everything else that fixes the batch; JSON",
    "closed_utc": "Time at which the batch was called off, empty while it runs",
    "batch_id": "Batch of the assignment: id in assignment_batch",
    "subject": "What was decided on: region, or class of the scan",
    "decision": "Final verdict on the region, or class of the scan",
    "reason": "Why, in the adjudicator's words",
    "note": "Reader's own words",
    "session_id": "Random name of the browser session",
    "supersedes": "Row of the same table that this one replaces or takes back; empty for a first answer",
    "retracted": "1 where this row takes back an answer instead of giving one",
}


def export_csv(store: Store, folder: Path) -> list[Path]:
    """Write one CSV a table, every row of it, and data_dictionary.csv; each file whole or not at all.

    Text that a spreadsheet would run as a formula gets a leading apostrophe.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    database = _snapshot(store)
    paths = []
    for table in TABLES:
        names = [column.name for column in table.columns]
        rows = [{name: _inert(row[name]) for name in names} for row in database[table.name].rows]
        paths.append(_write_csv(folder / f"{table.name}.csv", names, rows))
    terms = [{"table": table, "column": column, "meaning": text} for table, column, text in _terms()]
    paths.append(_write_csv(folder / "data_dictionary.csv", ["table", "column", "meaning"], terms))
    return paths


def export_json(store: Store, path: Path) -> Path:
    """Write the tables and the data dictionary as one JSON object, whole or not at all.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    database = _snapshot(store)
    content: dict[str, object] = {}
    for table in TABLES:
        rows = [dict(row) for row in database[table.name].rows]
        for row in rows:
            for typed in table.columns:
                if isinstance(typed.type, JSON):
                    row[typed.name] = json.loads(row[typed.name] or "null")
                elif isinstance(typed.type, Boolean):
                    row[typed.name] = bool(row[typed.name])
        content[table.name] = rows
    dictionary: dict[str, dict[str, str]] = {}
    for name, column, text in _terms():
        dictionary.setdefault(name, {})[column] = text
    content["data_dictionary"] = dictionary
    write_bytes(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
    return path


def _snapshot(store: Store) -> sqlite_utils.Database:
    """The tables as of one moment, in memory: any database behind the store, one kind here."""
    database = sqlite_utils.Database(memory=True)
    with transaction(store, write=False) as session:
        for table in TABLES:
            rows = [
                dict(row) for row in session.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            types = {
                column.name: dict if isinstance(column.type, JSON) else column.type.python_type
                for column in table.columns
            }
            database.table(table.name).create(types).insert_all(rows)
    return database


def _terms() -> Iterator[tuple[str, str, str]]:
    for table in TABLES:
        for column in table.columns:
            yield table.name, column.name, DICTIONARY[column.name]


def _inert(value: object) -> object:
    """Stops spreadsheets from running a note as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value != "" else value


def _write_csv(path: Path, names: list[str], rows: Sequence[Mapping[str, object]]) -> Path:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 on a store that can't be read."""
    parser = argparse.ArgumentParser(
        prog="python -m app.feedback.export",
        description="Write every verdict as CSV and JSON.",
        epilog="Example: python -m app.feedback.export --out exports/2026-01",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    folder = parser.parse_args(arguments).out
    try:
        store = open_store(settings().store_url)
        paths = [*export_csv(store, folder), export_json(store, folder / "feedback.json")]
    except (StoreError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
