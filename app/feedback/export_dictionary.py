"""What each table and column of an export holds: descriptions, levels and units, for every format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.feedback.models import TEACHING, Base, Draft

# Every answer; a draft is none, and lessons are no clinical reads.
TABLES = [
    table for table in Base.metadata.sorted_tables if table.name not in (Draft.__tablename__, *TEACHING)
]
# Tables whose rows supersede one another: exports say which of them stand.
ANSWERS = ("verdict", "missed_finding", "case_read", "adjudication")
STANDING = "standing"

MEANINGS: dict[str, str] = {
    "reader": "Who answered",
    "verdict": "Answers to flagged regions",
    "missed_finding": "Findings that readers marked themselves",
    "case_read": "Reads of whole scans: first before the flags were shown, second after",
    "case_event": "Scans opened, skipped and taken up again",
    "adjudication": "Final decisions where readers differed",
    "answers_seen": "Who was shown the answers to which scan, and when first: later reads are not blind",
    "finding_type": "Vocabulary of findings",
    "assignment_batch": "Distributions of scans among readers",
    "assignment": "Who was to read which scan",
}

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
    "classification": "normal, 1A to 3 (scheme of the paper's reference 33, in our words), or inadequate",
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
    STANDING: "1 where this answer is in force: neither replaced nor taken back",
}
UNITS = {"x_mm": "mm", "y_mm": "mm", "z_mm": "mm", "radius_mm": "mm", "active_seconds": "s"}
_YES = {"0": "no", "1": "yes"}
LEVELS: dict[str, dict[str, str]] = {
    "source": {"typed": "a name typed in, unverified", "oidc": "a login", "header": "set by a proxy"},
    "map": {
        "volume": "against the residuals of the same scan, as in the paper",
        "normative": "against held-out normals",
        "fused": "restoration and the best-matching places of normals together",
    },
    "verdict": {"agree": "a finding", "disagree": "a false alarm", "unsure": "can't tell"},
    "phase": {"first": "before the flags were shown", "second": "after"},
    "classification": {
        "normal": "no injury seen",
        "1A": "minimal cerebral lesions only",
        "1B": "more extensive cerebral lesions only",
        "2A": "basal ganglia, thalami, internal capsule or watershed alone",
        "2B": "the same and other cerebral lesions",
        "3": "devastation of the hemispheres",
        "inadequate": "the image can't be read",
    },
    "kind": {
        "opened": "event: opened",
        "skipped": "event: skipped",
        "resumed": "event: taken up again",
        "case": "assignment: a first time",
        "repeat": "assignment: served again",
        "planted": "assignment: with a known answer",
    },
    "ordering": {"random": "shuffled by the seed", "score": "by a score", "given": "as listed"},
    "subject": {"region": "a flagged region", "class": "class of the scan"},
    "unaided": _YES,
    "retired": _YES,
    "retracted": _YES,
    STANDING: _YES,
}


def columns(table: str) -> list[str]:
    """Columns of an exported table, in order."""
    found = next(one for one in TABLES if one.name == table)
    return [column.name for column in found.columns] + ([STANDING] if table in ANSWERS else [])


def terms() -> Iterator[tuple[str, str, str]]:
    """Table, column and what it holds, of every exported column."""
    for table in TABLES:
        for column in columns(table.name):
            yield str(table.name), str(column), DICTIONARY[column]


def sidecar(table: str) -> dict[str, dict[str, Any]]:
    """BIDS data dictionary of a table: Description, and Levels and Units where there are any."""
    found: dict[str, dict[str, Any]] = {}
    for column in columns(table):
        entry: dict[str, Any] = {"Description": DICTIONARY[column]}
        if column in LEVELS:
            entry["Levels"] = LEVELS[column]
        if column in UNITS:
            entry["Units"] = UNITS[column]
        found[column] = entry
    return found
