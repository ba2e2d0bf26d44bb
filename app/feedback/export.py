"""Readers' answers as BIDS, CSV, JSON and SQLite. ``python -m app.feedback.export --out DIR``."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlite_utils

from app.cases import read_cases
from app.feedback.database import StoreError, open_store
from app.feedback.export_bids import write_bids
from app.feedback.export_dictionary import STANDING, TABLES, columns, terms
from app.feedback.export_rows import JSON_COLUMNS, Exported, Row, Scan, about, pseudonymous, take
from app.feedback.export_text import csv_text
from core.config import ConfigError, settings
from core.io.atomic import atomic, write_bytes


def write_csv(exported: Exported, folder: Path) -> list[Path]:
    """Write one CSV a table, about.csv and data_dictionary.csv; each file whole or not at all."""
    texts = {name: csv_text(columns(name), rows) for name, rows in exported.tables.items()}
    facts = [{"what": name, "value": value} for name, value in about(exported).items()]
    texts["about"] = csv_text(["what", "value"], facts)
    texts["data_dictionary"] = csv_text(["table", "column", "meaning"], _terms())
    paths = []
    for name, text in texts.items():
        path = folder / f"{name}.csv"
        write_bytes(path, text.encode())
        paths.append(path)
    return paths


def write_json(exported: Exported, folder: Path) -> list[Path]:
    """Write feedback.json: about, data_dictionary and the tables as one object, whole or not at all."""
    dictionary: dict[str, dict[str, str]] = {}
    for name, column, meaning in terms():
        dictionary.setdefault(name, {})[column] = meaning
    content = {"about": about(exported), **exported.tables, "data_dictionary": dictionary}
    path = folder / "feedback.json"
    write_bytes(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
    return [path]


def write_sqlite(exported: Exported, folder: Path) -> list[Path]:
    """Write feedback.sqlite: the tables with their keys, about and data_dictionary, whole or not at all.

    Built anew from the rows instead of by a copy of the database: a copy would carry drafts and lessons, and
    the store may be PostgreSQL.
    """
    path = folder / "feedback.sqlite"
    with atomic(path) as temporary:
        database = sqlite_utils.Database(temporary)
        try:
            for table in TABLES:
                types: dict[str, Any] = {
                    column.name: str if (table.name, column.name) in JSON_COLUMNS else column.type.python_type
                    for column in table.columns
                }
                if STANDING in columns(table.name):
                    types[STANDING] = bool
                database.table(table.name).create(
                    types,
                    pk="name" if table.name == "finding_type" else "id",
                    foreign_keys=[
                        (column.name, key.column.table.name, key.column.name)
                        for column in table.columns
                        for key in column.foreign_keys
                        # A chain's rows may be written in any order, and some left out of a reader's own.
                        if key.column.table.name != table.name
                    ],
                ).insert_all([_plain(table.name, row) for row in exported.tables[table.name]])
            database.table("data_dictionary").insert_all(_terms(), pk=("table", "column"))
            database.table("about").insert_all(
                [{"what": name, "value": json.dumps(value)} for name, value in about(exported).items()],
                pk="what",
            )
        finally:
            database.close()
    return [path]


def _plain(table: str, row: Row) -> Row:
    return {
        name: json.dumps(value, ensure_ascii=False)
        if value is not None and (table, name) in JSON_COLUMNS
        else value
        for name, value in row.items()
    }


def _terms() -> list[dict[str, str]]:
    return [{"table": table, "column": column, "meaning": meaning} for table, column, meaning in terms()]


FORMATS: dict[str, Callable[[Exported, Path], list[Path]]] = {
    "bids": write_bids,
    "csv": write_csv,
    "json": write_json,
    "sqlite": write_sqlite,
}


def write(exported: Exported, folder: Path, format: str) -> list[Path]:
    """Write one format into ``folder``, or, as "all", each into a folder of its name below."""
    if format != "all":
        return FORMATS[format](exported, folder)
    return [path for name, writer in FORMATS.items() for path in writer(exported, folder / name)]


def synthetic_scans(root: Path) -> dict[Scan, bool]:
    """Whether each scan of the derivatives is synthetic."""
    return {
        (case.record.case_id, case.record.input_hash): case.record.synthetic for case in read_cases(root)[0]
    }


def secret_of(path: Path) -> str:
    """The secret behind pseudonyms; drawn and kept, for its owner alone to read, where there is no file.

    Raises
    ------
    OSError
        Where the file can't be read or made.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 on a store or a secret that can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m app.feedback.export",
        description="Write every answer of every reader: for whoever keeps the database. Open scans are "
        "among them, so don't show the files to anybody who still reads.",
        epilog="Example: python -m app.feedback.export --out exports/2026-01 --format bids",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--format", choices=(*FORMATS, "all"), default="all", help="all: each in a folder of its name"
    )
    parser.add_argument(
        "--pseudonyms",
        type=Path,
        metavar="FILE",
        help="replace readers' names by stable random ones; FILE holds the secret, made where missing",
    )
    given = parser.parse_args(arguments)
    try:
        known = settings()
        exported = take(open_store(known.store_url), synthetic_scans(known.derivatives_dir))
        if given.pseudonyms is not None:
            exported = pseudonymous(exported, secret_of(given.pseudonyms))
        paths = write(exported, given.out, given.format)
    except (StoreError, ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"--pseudonyms {given.pseudonyms}: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(path)
    print(", ".join(f"{count} {name}" for name, count in exported.counts.items()), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
