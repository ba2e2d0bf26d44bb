"""Everything that the Agreement page shows, counted once for each state of the store and viewer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import pandas as pd
import streamlit as st

from app import state
from app.agreement import tables
from app.agreement.known import known_classes
from app.feedback.adjudications import decisions
from app.feedback.agreement import Rows, class_ratings, region_ratings, rows_of
from app.feedback.blinding import Answer, answers_visible, version
from app.feedback.export_rows import CONVENTION, pseudonym
from app.feedback.export_text import inert
from app.feedback.store import ReaderSource, SavedReader, Store, list_readers
from app.feedback.vocabulary import terms
from core import __version__
from core.config import settings


@dataclass(frozen=True, eq=False)
class Counted:
    """The page's tables by name, its warnings, and confusion tables by name."""

    tables: dict[str, pd.DataFrame]
    warnings: dict[str, str]
    crossed: dict[str, pd.DataFrame]
    readers: dict[int, str]
    scans: int  # with an answer that counts
    closed: int  # of others' answers too
    readings: int
    waiting: int  # scans that the viewer has still to finish
    late: int  # answers left out, since their readers had seen others'
    models: list[dict[str, object]]  # that the answers were given with: name, hash, maps
    inputs: dict[str, str]  # hash of each scan's file by case id
    hidden: bool  # whether names are replaced


def shown_names(names: dict[int, str], viewer: int, coordinator: bool) -> dict[int, str]:
    """Names for coordinators; for readers "You" and numbers, since answers, not people, are compared."""
    if coordinator:
        return names
    others = [one for one in sorted(names) if one != viewer]
    return {viewer: "You"} | {one: f"Reader {at}" for at, one in enumerate(others, 1)}


def counted(reader: SavedReader, coordinator: bool, hide: bool = False) -> Counted:
    """What this reader may see, from a cache where nothing has changed.

    ``hide``: give coordinators the names of an export with readers' names replaced.
    """
    store = state.feedback()
    return _counted(store.url, version(store), reader.id, coordinator, known_classes(), coordinator and hide)


def _pseudonyms(store: Store) -> dict[int, str]:
    return {
        one.id: pseudonym(settings().secret, source, one.name)
        for source in get_args(ReaderSource)
        for one in list_readers(store, source)
    }


def _models(rows: Iterable[Answer]) -> list[dict[str, object]]:
    maps: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        maps.setdefault((row.model, row.model_hash), set()).add(row.map)
    return [
        {"model": model, "model_hash": hash, "maps": sorted(used)}
        for (model, hash), used in sorted(maps.items())
    ]


@st.cache_data(show_spinner="Counting answers …", max_entries=32)
def _counted(
    url: str, changed: tuple[int, ...], viewer: int, coordinator: bool, known: dict[str, str], hide: bool
) -> Counted:
    """``url`` and ``changed`` only key the cache."""
    store = state.feedback()
    answers = answers_visible(store, viewer, coordinator=coordinator, independent=True)
    names = shown_names(answers.names, viewer, coordinator)
    if hide:
        replaced = _pseudonyms(store)
        names = {id: replaced[id] for id in names}
    rows = rows_of(answers, decisions(store, answers), known, names)
    found: dict[str, pd.DataFrame] = {}
    for title, column in tables.WAYS.items():
        found[f"accepted by {title.lower()}"] = tables.acceptance(rows, column)
    for title, column in tables.MISSED_WAYS.items():
        found[f"missed by {title.lower()}"] = tables.missed(rows, column)
    labels = {term.name: term.label for term in terms(store, retired=True)}
    for name in ("accepted by finding type", "missed by finding type"):
        if not found[name].empty:
            found[name]["group"] = found[name]["group"].replace(labels)
    found["regions"], on_regions = tables.region_agreement(rows)
    found["classes"], on_classes = tables.class_agreement(rows)
    found["pairs on regions"] = tables.pairs(rows, "regions")
    found["pairs on classes"] = tables.pairs(rows, "classes")
    found["repeats"] = tables.repeatability(rows)
    found["change"] = tables.change(rows)
    found["seconds"] = tables.seconds(rows)
    found["planted"] = tables.planted(rows)
    return Counted(
        tables=found,
        warnings={"regions": on_regions, "classes": on_classes},
        crossed=_crossed(rows),
        readers=names,
        scans=rows.scans,
        closed=len(answers.scans),
        readings=len(rows.reads),
        waiting=len(answers.waiting),
        late=answers.late,
        models=_models([*answers.reads, *answers.verdicts, *answers.marks]),
        inputs={row.case_id: row.input_hash for row in answers.reads},
        hidden=hide,
    )


def _crossed(rows: Rows) -> dict[str, pd.DataFrame]:
    """Confusion tables: first against second read, and of every two readers by "what: one / other"."""
    found = {"change": tables.changes(rows)}
    for what, (ratings, readers) in (("regions", region_ratings(rows)), ("classes", class_ratings(rows))):
        for at, one in enumerate(readers):
            for to in range(at + 1, len(readers)):
                table = tables.crossed(ratings, at, to)
                if table.to_numpy().sum() > 0:
                    found[f"{what}: {rows.names[one]} / {rows.names[readers[to]]}"] = table
    return found


def csv_text(table: pd.DataFrame, index: bool = False) -> str:
    """A table as CSV; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    return str(table.map(inert).rename(index=inert, columns=inert).to_csv(index=index))


def archive(counted: Counted) -> bytes:
    """ZIP of every table as CSV, with a note of how they were made."""
    about = {
        "software": f"fontanelle {__version__}",
        "intervals": f"bootstrap 95 %, scans resampled, {tables.DRAWS} draws, seed {tables.SEED}",
        "counted": "first passes of scans that were not planted; see docs/agreement.md",
        "convention": CONVENTION,
        "models": counted.models,
        "input_hashes": counted.inputs,
        "readers": "names replaced, as in an export" if counted.hidden else "as shown on the page",
        "scans": counted.scans,
        "closed scans": counted.closed,
        "readings": counted.readings,
        "answers left out, given after others' were seen": counted.late,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("about.json", json.dumps(about, indent=1) + "\n")
        for name, table in counted.tables.items():
            bundle.writestr(f"{name.replace(' ', '_')}.csv", csv_text(table))
        for name, table in counted.crossed.items():
            if table.empty:
                continue  # neither rows nor columns
            file = "".join(c if c.isalnum() else "_" for c in name)
            bundle.writestr(f"crossed_{file}.csv", csv_text(table, index=True))
    return stream.getvalue()
