"""Answers as a BIDS derivative: TSV tables with JSON data dictionaries, and each scan's standing answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.feedback.export_dictionary import MEANINGS, STANDING, columns, sidecar
from app.feedback.export_rows import Exported, Row, about
from app.feedback.export_text import tsv_text
from core import __version__
from core.io.atomic import write_bytes

BIDS_VERSION = "1.10.0"
# Of each scan: what the entity desc says, and the table that its rows come from.
PER_SCAN = {"reads": "case_read", "verdicts": "verdict", "marks": "missed_finding"}
SUFFIX = "ratings"
README = """# Readers' answers from Fontanelle

{note}{convention}

- `tables/`: every row ever saved, superseded and taken back ones too; `standing` is 1 where it is in force.
- `sub-*/ses-*/anat/*_desc-reads_ratings.tsv`, `*_desc-verdicts_ratings.tsv`, `*_desc-marks_ratings.tsv`: the
  standing answers to one scan; their columns are described in `desc-*_ratings.json` above them.
- Each `.json` beside a table is its data dictionary. `n/a` is "not given"; a tab, line break or backslash in
  a note is written as `\\t`, `\\n`, `\\r` or `\\\\`. Text that a spreadsheet would run has a leading
  apostrophe.

BIDS has no standard for readers' judgements (bids-specification issue 353 is open). The folder follows its
rules for derivatives, TSV and sidecars; the suffix `ratings` and the folder `tables` are ours and are named
in `.bidsignore`. Drafts and lessons are never exported.
"""


def write_bids(exported: Exported, folder: Path) -> list[Path]:
    """Write the folder; each file whole or not at all, dataset_description.json last."""
    facts = about(exported)
    texts: dict[str, str] = {
        "README.md": README.format(
            note=f"**{facts['note']}**\n\n" if facts["note"] else "", convention=facts["convention"]
        ),
        ".bidsignore": f"tables/\n*_{SUFFIX}.tsv\n*_{SUFFIX}.json\ndesc-*_{SUFFIX}.json\n",
    }
    for table, rows in exported.tables.items():
        texts[f"tables/{table}.tsv"] = tsv_text(columns(table), rows)
        texts[f"tables/{table}.json"] = _json(sidecar(table))
    for desc, table in PER_SCAN.items():
        texts[f"desc-{desc}_{SUFFIX}.json"] = _json(sidecar(table))
    for case_id in sorted({row["case_id"] for table in PER_SCAN.values() for row in exported.tables[table]}):
        subject, _, session = case_id.partition("_")
        for desc, table in PER_SCAN.items():
            path = f"{subject}/{session}/anat/{case_id}_desc-{desc}_{SUFFIX}.tsv"
            texts[path] = tsv_text(columns(table), _standing(exported.tables[table], case_id))
    texts["dataset_description.json"] = _json(
        {
            "Name": "Readers' answers to Fontanelle's flags",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "Fontanelle",
                    "Version": __version__,
                    "Description": "Verdicts, marks and reads of radiologists on flagged newborn T2w scans",
                }
            ],
            "Synthetic": facts["synthetic_scans"] > 0,
            "Convention": facts["convention"],
            "Models": facts["models"],
            "Tables": MEANINGS,
            "About": facts,
        }
    )
    written = []
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
        written.append(folder / name)
    return written


def _standing(rows: Iterable[Row], case_id: str) -> list[Row]:
    return [row for row in rows if row["case_id"] == case_id and row[STANDING]]


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
