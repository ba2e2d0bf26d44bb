"""Whole readings in a store, for tests of what comes of them."""

from __future__ import annotations

from collections.abc import Mapping

from app.feedback.database import Store, transaction
from app.feedback.marks import add_missed
from app.feedback.models import Assignment, AssignmentBatch
from app.feedback.reads import Classification, ReadInput, lock_first, save_second
from app.feedback.rows import MissedInput, VerdictInput, VerdictValue
from app.feedback.store import add_verdict, reader_for
from app.feedback.writing import new_id, now_utc
from core.io.derivatives import CaseRecord, Region
from tests.app.feedback.conftest import region

SCAN = "sub-a_ses-01"


def reader(store: Store, name: str) -> int:
    return reader_for(store, name, "typed").id


def hash_of(case_id: str) -> str:
    return f"{case_id:0<64}"[:64]


def _common(reader_id: int, case_id: str, record: CaseRecord | None, pass_number: int) -> dict[str, object]:
    if record is not None:
        return {
            "id": new_id(),
            "reader_id": reader_id,
            "case_id": record.case_id,
            "input_hash": record.input_hash,
            "model": record.model,
            "model_hash": record.model_hash,
            "case_key": record.key,
            "pass_number": pass_number,
        }
    return {
        "id": new_id(),
        "reader_id": reader_id,
        "case_id": case_id,
        "input_hash": hash_of(case_id),
        "model": "vae_8x8_512",
        "model_hash": "m" * 64,
        "case_key": f"k{case_id:0<63}"[:64],
        "pass_number": pass_number,
    }


def first(
    store: Store,
    reader_id: int,
    case_id: str = SCAN,
    classification: Classification = "normal",
    *,
    record: CaseRecord | None = None,
    pass_number: int = 1,
    seconds: float = 30.0,
    note: str = "",
) -> None:
    """Lock a first read."""
    common = _common(reader_id, case_id, record, pass_number)
    lock_first(
        store,
        ReadInput(
            **common,  # type: ignore[arg-type]
            classification=classification,
            map="volume",
            unaided=True,
            active_seconds=seconds,
            note=note,
        ),
    )


def second(
    store: Store,
    reader_id: int,
    case_id: str = SCAN,
    classification: Classification = "normal",
    *,
    record: CaseRecord | None = None,
    pass_number: int = 1,
    seconds: float = 20.0,
    note: str = "",
    unaided: bool = False,
) -> None:
    """Save a second read."""
    common = _common(reader_id, case_id, record, pass_number)
    save_second(
        store,
        ReadInput(
            **common,  # type: ignore[arg-type]
            classification=classification,
            map="volume",
            unaided=unaided,
            active_seconds=seconds,
            note=note,
        ),
    )


def judge(
    store: Store,
    reader_id: int,
    verdict: VerdictValue,
    case_id: str = SCAN,
    *,
    region_: Region | None = None,
    record: CaseRecord | None = None,
    pass_number: int = 1,
    note: str = "",
    finding_type: str = "",
) -> None:
    """Give a verdict."""
    common = _common(reader_id, case_id, record, pass_number)
    add_verdict(
        store,
        VerdictInput(
            **common,  # type: ignore[arg-type]
            region=region(map="volume") if region_ is None else region_,
            verdict=verdict,
            note=note,
            finding_type=finding_type,
        ),
    )


def miss(
    store: Store,
    reader_id: int,
    case_id: str = SCAN,
    *,
    at: tuple[float, float, float] = (1.0, 2.0, 3.0),
    radius_mm: float = 4.0,
    record: CaseRecord | None = None,
    note: str = "",
    finding_type: str = "",
) -> None:
    """Mark a finding that the flags miss."""
    common = _common(reader_id, case_id, record, 1)
    x, y, z = at
    add_missed(
        store,
        MissedInput(
            **common,  # type: ignore[arg-type]
            map="volume",
            x_mm=x,
            y_mm=y,
            z_mm=z,
            radius_mm=radius_mm,
            note=note,
            finding_type=finding_type,
        ),
    )


def assign(
    store: Store,
    readers: list[int],
    case_id: str = SCAN,
    *,
    input_hash: str | None = None,
    pass_number: int = 1,
    kind: str = "case",
    closed: bool = False,
    known: Mapping[str, str] | None = None,
) -> None:
    """A batch of one scan for these readers."""
    batch = new_id()
    with transaction(store, write=True) as session:
        session.add(
            AssignmentBatch(
                id=batch,
                name="test",
                created_by=readers[0],
                seed=1,
                ordering="given",
                readers_per_case=len(readers),
                repeat_fraction=0.0,
                settings={} if known is None else {"known": dict(known)},
                created_utc=now_utc(),
                closed_utc=now_utc() if closed else None,
            )
        )
        session.flush()
        for one in readers:
            session.add(
                Assignment(
                    id=new_id(),
                    batch_id=batch,
                    reader_id=one,
                    case_id=case_id,
                    input_hash=hash_of(case_id) if input_hash is None else input_hash,
                    pass_number=pass_number,
                    position=1,
                    kind=kind,
                    created_utc=now_utc(),
                )
            )
