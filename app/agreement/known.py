"""What is known of scans beside what readers say: the demo cohort's own scores."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from app.cases import stamp
from core.config import settings
from core.io.tables import BidsError, read_table


@lru_cache(maxsize=4)
def _read(path: Path, changed: tuple[int, int]) -> dict[str, str]:
    """``changed`` only keys the cache."""
    try:
        _, rows = read_table(path, ("participant_id",))
    except (BidsError, OSError):
        return {}
    return {
        f"{row['participant_id']}_{row['session_id']}": "normal"
        if row["radiology_score"] == "1"
        else "abnormal"
        for row in rows
        if row.get("session_id", "") and row.get("radiology_score", "n/a") not in ("", "n/a", "Q")
    }


def known_classes() -> dict[str, str]:
    """ "normal" or "abnormal" by case id, of the synthetic cohort; empty where there is none."""
    path = settings().demo_dir / "participants.tsv"
    return _read(path, stamp(path)) if path.is_file() else {}
