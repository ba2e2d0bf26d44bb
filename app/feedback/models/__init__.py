"""Tables of the feedback store. Answers are append-only (see ``app.feedback.store``)."""

from __future__ import annotations

from app.feedback.models.adjudication import Adjudication, AnswersSeen
from app.feedback.models.answers import Draft, MissedFinding, Verdict
from app.feedback.models.base import Base, Reader
from app.feedback.models.protocol import Assignment, AssignmentBatch, CaseEvent, CaseRead, FindingType
from app.feedback.models.teaching import Learner, LearnerCommit, LearnerMark, Lesson

__all__ = [
    "APPEND_ONLY",
    "TEACHING",
    "Adjudication",
    "AnswersSeen",
    "Assignment",
    "AssignmentBatch",
    "Base",
    "CaseEvent",
    "CaseRead",
    "Draft",
    "FindingType",
    "Learner",
    "LearnerCommit",
    "LearnerMark",
    "Lesson",
    "MissedFinding",
    "Reader",
    "Verdict",
]

# Tables that the database itself refuses to change.
APPEND_ONLY = tuple(
    table.__tablename__
    for table in (
        Verdict,
        MissedFinding,
        CaseRead,
        CaseEvent,
        Assignment,
        Adjudication,
        AnswersSeen,
        LearnerMark,
        LearnerCommit,
    )
)
# Tables that no export or statistic of clinical reads may hold.
TEACHING = tuple(table.__tablename__ for table in (Lesson, Learner, LearnerMark, LearnerCommit))
