"""``python -m app.report``: reports by the batch, for whoever coordinates a reading."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from app.cases import Case, find_case, read_cases
from app.feedback.database import Store, StoreError, open_store
from app.feedback.rows import SavedReader
from app.feedback.store import list_readers
from app.report.case import case_page
from app.report.content import ReportError, gather
from core.config import ConfigError, settings
from core.io.atomic import write_bytes
from core.io.derivatives import MAP_NAMES, DerivativesError

SOURCES = ("oidc", "header", "typed")


def reader_named(store: Store, name: str) -> SavedReader:
    """The reader of that name; one who was identified before one who typed it.

    Raises
    ------
    ReportError
        Where nobody of that name has read here.
    """
    for source in SOURCES:
        for reader in list_readers(store, source):  # type: ignore[arg-type]
            if reader.name == name:
                return reader
    raise ReportError(f"--reader {name}: nobody of that name has read here")


def chosen(root: Path, asked: str, model: str) -> list[Case]:
    """The analyses asked for.

    Raises
    ------
    ReportError
        Where there is none.
    """
    if asked == "all":
        found = [case for case in read_cases(root)[0] if model in ("", case.record.model)]
        if not found:
            raise ReportError(f"no analysis{f' by {model}' if model else ''} below {root}")
        return found
    case = find_case(root, asked)
    if case is None:
        raise ReportError(
            f"--case {asked}: no analysis at this address; expected the ?case=… of Review's link"
        )
    return [case]


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 where nothing can be read, 1 where a report was refused or failed."""
    parser = argparse.ArgumentParser(
        prog="python -m app.report",
        description="Write one HTML report a case, as one reader may see it: a case whose first read is not "
        "locked has none, and others' answers are in it only once the scan is closed.",
        epilog="Example: python -m app.report --case all --model restorer --reader 'A. Reader' --out reports",
    )
    parser.add_argument(
        "--case", required=True, help="address of an analysis (?case=… in Review's link), or all"
    )
    parser.add_argument("--reader", required=True, help="name of the reader whose reads the report shows")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--model", default="", help="with --case all: analyses by this model only")
    parser.add_argument("--map", choices=MAP_NAMES, default=None, help="as Review opens where not given")
    parser.add_argument("--weak", action="store_true", help="regions of 2–3 SD too")
    given = parser.parse_args(arguments)
    try:
        known = settings()
        store = open_store(known.store_url)
        reader = reader_named(store, given.reader)
        cases = chosen(known.derivatives_dir, given.case, given.model)
    except (StoreError, ReportError, ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    refused = 0
    for case in cases:
        try:
            content = gather(
                store,
                reader,
                case.record,
                known.derivatives_dir,
                models_dir=known.models_dir,
                unaided=known.unaided_read,
                name=given.map,
                weak=given.weak,
            )
            path = given.out / content.name
            write_bytes(path, case_page(content, datetime.now(UTC)).encode())
        except (ReportError, DerivativesError, StoreError, OSError) as error:
            refused += 1
            print(f"refused: {error}", file=sys.stderr)
        else:
            print(path)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
