"""Invented readings for the pictures: two readers, a batch and a lesson over synthetic scans; fixed seed.

Chance gives the answers; no person gave them, and they tell nothing about readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from app.cases import address
from app.feedback.assignments import BatchInput, make_batch
from app.feedback.lesson_rows import LessonCase, LessonInput
from app.feedback.lessons import create_lesson, open_lesson
from app.feedback.planning import PlanCase
from app.feedback.reads import Classification, ReadInput, lock_first, save_second
from app.feedback.store import (
    SavedReader,
    Store,
    VerdictValue,
    add_verdict,
    new_id,
    reader_for,
    verdict_input,
)
from core.io.derivatives import CasePaths, CaseRecord, read_regions

READERS = ("Reader One", "Reader Two")
TEACHER = "Teacher"
SEED = 20230
FIRST: tuple[Classification, ...] = ("normal", "normal", "1A", "1B", "2A")
VERDICTS: tuple[VerdictValue, ...] = ("agree", "agree", "disagree", "unsure")
FINDINGS = {
    "agree": ("white_matter_injury", "cyst", "ventriculomegaly"),
    "disagree": ("artefact", "normal_variant"),
    "unsure": ("",),
}
SAME = 0.75  # share of answers in which the second reader says what the first said


def read_input(
    record: CaseRecord, reader: SavedReader, given: Classification, sure: int, seconds: float
) -> ReadInput:
    """A read of the whole scan, as Review would keep it."""
    return ReadInput(
        id=new_id(),
        reader_id=reader.id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        classification=given,
        model=record.model,
        model_hash=record.model_hash,
        case_key=record.key,
        map="fused",
        unaided=True,
        confidence=sure,
        active_seconds=seconds,
    )


def readings(store: Store, records: Sequence[CaseRecord], paths: Mapping[str, CasePaths], seed: int) -> None:
    """Both readers read each of ``records``: unaided, each fused flag of 3 SD and more, and again."""
    chance = Random(seed)
    readers = [reader_for(store, name, "typed") for name in READERS]
    for record in records:
        regions = [
            one
            for one in read_regions(paths[record.case_id].regions(record.model))
            if one.map == "fused" and one.band != "2-3"
        ]
        usual, said = chance.choice(FIRST), {one.id: chance.choice(VERDICTS) for one in regions}
        for at, reader in enumerate(readers):
            own = usual if at == 0 or chance.random() < SAME else chance.choice(FIRST)
            lock_first(store, read_input(record, reader, own, chance.randint(2, 5), chance.uniform(30, 120)))
            for region in regions:
                verdict = said[region.id] if at == 0 or chance.random() < SAME else chance.choice(VERDICTS)
                add_verdict(
                    store,
                    verdict_input(
                        record,
                        region,
                        id=new_id(),
                        reader_id=reader.id,
                        verdict=verdict,
                        finding_type=chance.choice(FINDINGS[verdict]),
                        confidence=chance.randint(2, 5),
                    ),
                )
            after = own if chance.random() < SAME else chance.choice(FIRST)
            save_second(
                store, read_input(record, reader, after, chance.randint(2, 5), chance.uniform(20, 90))
            )


def locked(store: Store, record: CaseRecord) -> None:
    """The first reader's unaided read of the scan that the pictures show with its flags."""
    reader = reader_for(store, READERS[0], "typed")
    lock_first(store, read_input(record, reader, "1B", 4, 75.0))


def batch(store: Store, records: Sequence[CaseRecord], seed: int) -> None:
    """A batch of ``records`` for both readers, made by the teacher as coordinator."""
    make_batch(
        store,
        BatchInput(
            id=new_id(),
            name="Pilot",
            created_by=reader_for(store, TEACHER, "typed").id,
            cases=tuple(PlanCase(one.case_id, one.input_hash) for one in records),
            readers=tuple(reader_for(store, name, "typed").id for name in READERS),
            readers_per_case=2,
            ordering="random",
            seed=seed,
            model=records[0].model,
        ),
    )


def lesson(store: Store, records: Sequence[CaseRecord]) -> tuple[str, str]:
    """An open lesson over ``records``; its id and join code."""
    made = create_lesson(
        store,
        LessonInput(
            id=new_id(),
            title="What is on the left?",
            teacher_id=reader_for(store, TEACHER, "typed").id,
            cases=tuple(LessonCase(one.case_id, one.input_hash, address(one), one.model) for one in records),
        ),
    )
    open_lesson(store, made.id)
    return made.id, made.join_code
