"""What one follower of a lesson may know now, as JSON for lesson.js.

Nothing of the answer is in here before the reveal, for any role: a teacher's screen may hang on the wall.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from app.cases import find_case
from app.feedback.database import Store
from app.feedback.learners import find_learner
from app.feedback.lesson_rows import LessonCase, SavedLesson, SavedMark
from app.feedback.lessons import find_lesson
from app.feedback.vocabulary import terms
from app.routes import PREFIX
from app.teach import hub
from app.teach.consensus import Consensus, consensus
from app.teach.results import Results, known, results
from app.teach.sides import side_of
from app.teach.truth import Truth
from app.viewer.component import map_label
from app.viewer.volumes import MAP_KINDS, Wire, check_files, wire
from core.anomaly.palette import PALETTES
from core.config import settings
from core.evaluation.statistics import EvaluationError
from core.io.derivatives import CasePaths, CaseRecord, DerivativesError
from core.io.tables import BidsError

Role = Literal["teacher", "learner", "projector"]
# What goes wrong where files of a scan or its answer are gone or damaged.
DAMAGED = (DerivativesError, EvaluationError, BidsError)
# What blinding merges of readers' points where the lesson's tolerance is smaller.
MERGE_MM = 5.0


@dataclass(frozen=True)
class Follower:
    """Who looks: a role in a lesson, and which learner. ``learner_id`` is empty for the others."""

    role: Role
    lesson_id: str
    learner_id: str = ""


def snapshot(store: Store, who: Follower, token: str) -> dict[str, Any] | None:
    """The lesson as ``who`` may see it; None where there is no such lesson or learner.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    lesson = find_lesson(store, who.lesson_id)
    learner = find_learner(store, who.learner_id) if who.role == "learner" else None
    if lesson is None or (who.role == "learner" and (learner is None or learner.lesson_id != lesson.id)):
        return None
    try:
        found, problem = results(store, lesson), ""
    except DAMAGED:  # its text names scans
        return _lobby(lesson) | {"role": who.role, "problem": "The known answers can't be read."}
    index = lesson.case_index
    if index in found.held:  # assigned since it was revealed: who joins now may have to read it
        lesson = replace(lesson, revealed=False)
        found = replace(found, lesson=lesson)
    committed = found.committed(index)
    here = hub.present(lesson.id)
    sent = _lobby(lesson) | {
        "role": who.role,
        "counts": {
            "joined": len(found.learners),
            "here": sum(one.id in here for one in found.learners),
            "committed": len(committed),
            "unanswered": len(found.unanswered(index)),
        },
        "problem": problem,
    }
    if who.role == "learner" and learner is not None:
        sent["name"] = learner.name
        sent["types"] = [{"name": term.name, "label": term.label} for term in terms(store)]
        sent["committed"] = learner.id in committed
        sent["answered"] = learner.id in committed - found.unanswered(index)
        sent["marks"] = _own_marks(found, learner.id, lesson)
        sent["total"] = asdict(found.total(learner.id, index if lesson.revealed else index - 1))
    if who.role == "teacher":
        sent["roster"] = _roster(found, here, committed)
        sent["held"] = {"reveal": found.held.get(index, ""), "next": found.held.get(index + 1, "")}
    if lesson.state != "open" and who.role == "learner":
        return sent
    if lesson.case is not None:
        sent["case"] = _case(lesson, lesson.case, index, token)
        if lesson.revealed:
            sent["answer"] = _answer(store, lesson, lesson.case, found, token, who)
            sent["place"] = _place(lesson)
    return sent


def _lobby(lesson: SavedLesson) -> dict[str, Any]:
    return {
        "title": lesson.title,
        "code": lesson.join_code,
        "state": lesson.state,
        "index": lesson.case_index,
        "count": len(lesson.cases),
        "revealed": lesson.revealed,
        "limit": lesson.seconds_per_case,
        "ends": None if lesson.ends is None else int(lesson.ends.timestamp() * 1000),
        "tolerance": lesson.tolerance_mm,
    }


def _case(lesson: SavedLesson, case: LessonCase, index: int, token: str) -> dict[str, Any]:
    """The unaided scan. Its name is not told before the reveal: the worklist would answer to it.

    Nor is the analysis' address, which volume addresses of Review hold for everybody to read: Review would
    open it. A lesson's volumes have addresses of the lesson.
    """
    try:
        found = scan_volume(case)
    except DerivativesError:  # its text names the scan
        return {"number": index, "error": "This scan can't be shown: its files are gone or changed. Go on."}
    if found is None:
        return {"number": index, "error": "This scan is no longer on disk. Go on to the next."}
    record, base = found
    return {
        "number": index,
        "id": record.case_id if lesson.revealed else "",
        "synthetic": record.synthetic,
        "age": record.age_weeks,  # postmenstrual, at the scan: myelin and folding can't be judged without
        "base": {"url": _url(token, "base", base.hash), "hash": base.hash},
    }


def scan_volume(case: LessonCase) -> tuple[CaseRecord, Wire] | None:
    """The analysis of a scan, and the scan itself to send; None where it is gone.

    Raises
    ------
    DerivativesError
        Where its files are missing or not those that the analysis wrote.
    """
    found = find_case(settings().derivatives_dir, case.address)
    if found is None or found.record.input_hash != case.input_hash:
        return None
    record = found.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    check_files(paths, record)
    return record, wire(paths, record.model, "base")


def _answer(
    store: Store, lesson: SavedLesson, case: LessonCase, found: Results, token: str, who: Follower
) -> dict[str, Any]:
    """What the teacher chose to reveal, as far as it is known."""
    index = lesson.case_index
    scored = found.scores.get(index, {})
    answer: dict[str, Any] = {"shows": list(lesson.reveal)}
    if "truth" in lesson.reveal:
        answer["truth"] = _truth(known(lesson, index), found, index, token)
    if "readers" in lesson.reveal:
        view = consensus(store, case, max(MERGE_MM, lesson.tolerance_mm))
        answer["readers"] = None if view is None else _readers(store, case, view)
    if "model" in lesson.reveal:
        answer["model"] = _model(case, token)
    if who.role == "learner":
        mine = scored.get(who.learner_id)
        answer["score"] = None if mine is None else [mine.hits, mine.misses, mine.false_marks]
    else:
        # Where the class marked; without names, also for the wall.
        answer["marks"] = [list(one.mm) for one in found.marks if one.case_index == index]
    return answer


def _place(lesson: SavedLesson) -> dict[str, Any] | None:
    """Where the class is to look: where the teacher last sent it, at first the largest lesion."""
    place = hub.live(lesson.id).place
    if place is not None and place["case"] == lesson.case_index:
        return place
    answer = known(lesson, lesson.case_index) if "truth" in lesson.reveal else None
    if answer is None or not answer.lesions:
        return None
    largest = max(answer.lesions, key=lambda one: one.volume_mm3)
    return {"id": f"reveal-{lesson.case_index}", "case": lesson.case_index, "mm": list(largest.mm)}


def _readers(store: Store, case: LessonCase, view: Consensus) -> dict[str, Any]:
    """The consensus with types in words, and a side also where no flag tells it."""
    words = {term.name: term.label for term in terms(store, retired=True)}
    subject, _, session = case.case_id.partition("_")
    paths = CasePaths(settings().derivatives_dir, subject, session)
    told = [
        replace(
            one,
            types=tuple(words.get(name, name) for name in one.types),
            side=one.side or side_of(paths, one.mm),
        )
        for one in view.findings
    ]
    return asdict(replace(view, findings=tuple(told)))


def _truth(answer: Truth | None, found: Results, index: int, token: str) -> dict[str, Any] | None:
    if answer is None:
        return None
    scored = found.scores.get(index, {})
    return {
        "lesions": [
            asdict(lesion) | {"found": sum(lesion.label in one.found for one in scored.values())}
            for lesion in answer.lesions
        ],
        "of": len(scored),
        "volume": None
        if answer.wire is None
        else {
            "url": _url(token, "truth", answer.wire.hash),
            "hash": answer.wire.hash,
        },
    }


def model_map(case: LessonCase) -> tuple[CaseRecord, str, Wire] | None:
    """The analysis of a scan, and the map that Review opens: the fused one where it is, else the first."""
    found = find_case(settings().derivatives_dir, case.address)
    if found is None:
        return None
    record = found.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    name = next(one for one in ("fused", *MAP_KINDS) if one in record.bands)
    try:
        return record, name, wire(paths, record.model, MAP_KINDS[name])
    except DerivativesError:
        return None


def _model(case: LessonCase, token: str) -> dict[str, Any] | None:
    """The bands of the analysis."""
    found = model_map(case)
    if found is None:
        return None
    record, name, built = found
    return {
        "name": record.model,
        "map": map_label(name),
        "z": {"url": _url(token, "z", built.hash), "hash": built.hash},
        "colors": list(PALETTES["paper"]),
    }


def _url(token: str, what: str, content: str) -> str:
    return f"{PREFIX}/lesson/{token}/{what}-{content[:16]}.nii.gz"


def _own_marks(found: Results, learner_id: str, lesson: SavedLesson) -> list[dict[str, Any]]:
    """The learner's marks on the scan at hand, judged once the answer is shown."""
    mine = [one for one in found.marks if (one.learner_id, one.case_index) == (learner_id, lesson.case_index)]
    score = found.scores.get(lesson.case_index, {}).get(learner_id)
    judged = lesson.revealed and "truth" in lesson.reveal and score is not None
    return [
        own_mark(one) | ({"outcome": score.judged[at].outcome} if judged and score is not None else {})
        for at, one in enumerate(mine)
    ]


def own_mark(one: SavedMark) -> dict[str, Any]:
    """A mark as its learner's viewer knows it."""
    return {"id": one.id, "mm": list(one.mm), "type": one.finding_type, "note": one.note}


def _roster(found: Results, here: frozenset[str], committed: frozenset[str]) -> list[dict[str, Any]]:
    """The class for the teacher. Scores of a scan only once its answer is shown."""
    lesson = found.lesson
    upto = lesson.case_index if lesson.revealed or lesson.state == "closed" else lesson.case_index - 1
    silent = found.unanswered(lesson.case_index)
    rows = []
    for learner in found.learners:
        score = found.scores.get(lesson.case_index, {}).get(learner.id) if lesson.revealed else None
        total = found.total(learner.id, upto)
        rows.append(
            {
                "name": learner.name,
                "here": learner.id in here,
                "committed": learner.id in committed,
                "automatic": found.automatic(learner.id, lesson.case_index),
                "answered": learner.id in committed - silent,
                "score": None if score is None else [score.hits, score.misses, score.false_marks],
                "total": [total.hits, total.misses, total.false_marks],
            }
        )
    return rows
