"""What the commands say of each scan beside its results: the split it is of, and why a step failed on it."""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from core.io.atomic import write_bytes
from core.io.tables import ABSENT, BidsError, read_table

NAME = "ledger.tsv"
COLUMNS = ("participant_id", "session_id", "step", "target", "split", "reason")


@dataclass(frozen=True)
class Line:
    """The last time that a step was asked for a scan."""

    subject: str  # with "sub-"
    session: str  # with "ses-"
    step: str  # prepare or analyze
    target: str  # of prepare the cube, as in cube64; of analyze the model
    split: str = ""  # as the data set or manifest says; empty where it does not
    reason: str = ""  # why it failed; empty where it went well

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.subject, self.session, self.step, self.target


def read_ledger(root: Path) -> list[Line]:
    """All lines below a derivatives root, sorted; none where nothing was written yet.

    Raises
    ------
    BidsError
        Where the table has no such columns.
    """
    path = root / NAME
    if not path.is_file():
        return []
    _, rows = read_table(path, COLUMNS)
    return [Line(*("" if row[name].lower() in ABSENT else row[name] for name in COLUMNS)) for row in rows]


def record(root: Path, lines: Iterable[Line]) -> None:
    """Put ``lines`` in place of older ones of the same scan, step and target; whole at every moment.

    Commands that run side by side do not lose each other's lines. A damaged table is begun anew: it says
    nothing that running the step again would not.
    """
    new = {line.key: line for line in lines}
    if not new:
        return
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            old = {line.key: line for line in read_ledger(root)}
        except BidsError:
            old = {}
        lines = sorted((old | new).values(), key=lambda line: line.key)
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([" ".join(value.split()) or "n/a" for value in astuple(line)] for line in lines)
        write_bytes(root / NAME, text.getvalue().encode())
