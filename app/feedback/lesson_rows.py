"""Frozen rows of lessons: the lesson, its scans, its learners, their marks and commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

LessonState = Literal["draft", "open", "closed"]
Shown = Literal["truth", "readers", "model"]
SHOWN: tuple[Shown, ...] = ("truth", "readers", "model")


@dataclass(frozen=True)
class LessonCase:
    """A scan of a lesson, and the analysis (its address, its model) whose flags may be revealed.

    ``owed``: readers had still to read it when the teacher chose it, who knew that.
    """

    case_id: str
    input_hash: str
    address: str
    model: str
    owed: bool = False


@dataclass(frozen=True)
class LessonInput:
    """A lesson as composed. ``seed`` shuffles ``cases``; None keeps their order."""

    id: str
    title: str
    teacher_id: int
    cases: tuple[LessonCase, ...]
    seed: int | None = None
    seconds_per_case: int = 0  # 0: no limit
    tolerance_mm: float = 5.0
    reveal: tuple[Shown, ...] = SHOWN


@dataclass(frozen=True)
class SavedLesson:
    id: str
    title: str
    teacher_id: int
    join_code: str
    cases: tuple[LessonCase, ...]  # in the order in which they are shown
    seed: int | None
    seconds_per_case: int
    tolerance_mm: float
    reveal: tuple[Shown, ...]
    state: LessonState
    case_index: int  # -1 before the first
    case_started_utc: str | None
    revealed: bool
    pointer: dict[str, Any] | None
    version: int
    created_utc: str
    updated_utc: str

    @property
    def case(self) -> LessonCase | None:
        """The scan before the class."""
        return self.cases[self.case_index] if 0 <= self.case_index < len(self.cases) else None

    @property
    def ends(self) -> datetime | None:
        """When the time for the scan is over; None without a limit."""
        if self.seconds_per_case == 0 or self.case_started_utc is None:
            return None
        return datetime.fromisoformat(self.case_started_utc) + timedelta(seconds=self.seconds_per_case)


@dataclass(frozen=True)
class SavedLearner:
    id: str
    lesson_id: str
    name: str
    joined_utc: str
    seen_utc: str


@dataclass(frozen=True)
class MarkInput:
    """A finding as marked at (x, y, z) mm in the scan's RAS+ world. ``id`` is made with the mark."""

    id: str
    learner_id: str
    case_index: int
    x_mm: float
    y_mm: float
    z_mm: float
    finding_type: str = ""
    note: str = ""


@dataclass(frozen=True)
class SavedMark:
    id: str
    seq: int
    lesson_id: str
    learner_id: str
    case_index: int
    case_id: str
    input_hash: str
    x_mm: float
    y_mm: float
    z_mm: float
    radius_mm: float  # the lesson's tolerance
    finding_type: str
    note: str
    created_utc: str
    supersedes: str | None
    retracted: bool

    @property
    def mm(self) -> tuple[float, float, float]:
        return (self.x_mm, self.y_mm, self.z_mm)


@dataclass(frozen=True)
class SavedCommit:
    """``automatic``: made by the reveal, the next scan or the end of the time. None: an old row."""

    id: str
    lesson_id: str
    learner_id: str
    case_index: int
    classification: str
    active_seconds: float
    created_utc: str
    automatic: bool | None
