"""What readers of a scan said beside its class: notes and marks, by number instead of name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.feedback.adjudications import Dispute, numbers
from app.feedback.blinding import Answers


@dataclass(frozen=True)
class Said:
    """A note on the whole scan or a mark of one reader, ``place`` RAS+ mm in the scan, None for a note."""

    label: str
    phase: str
    place: tuple[float, float, float] | None
    radius_mm: float | None
    finding_type: str
    confidence: int | None
    note: str


def said_of_scan(dispute: Dispute, answers: Answers) -> list[Said]:
    """Notes on the whole scan and marks, of both phases of first passes, by number: no names."""
    scan = (dispute.case_id, dispute.input_hash)
    numbered = numbers(*scan, answers)
    notes = [
        (numbered[row.reader_id], Said("", row.phase, None, None, "", None, row.note))
        for row in answers.reads
        if (row.case_id, row.input_hash, row.pass_number) == (*scan, 1) and row.note.strip() != ""
    ]
    marks = [
        (
            numbered[row.reader_id],
            Said(
                "",
                row.phase,
                (row.x_mm, row.y_mm, row.z_mm),
                row.radius_mm,
                row.finding_type,
                row.confidence,
                row.note,
            ),
        )
        for row in answers.marks
        if (row.case_id, row.input_hash, row.pass_number) == (*scan, 1)
    ]
    found = [replace(one, label=label) for label, one in notes + marks]
    return sorted(found, key=lambda one: (int(one.label.split()[-1]), one.place is not None, one.phase))
