"""``calibrate --from-feedback``: a copy of a model whose operating point readers' feedback has set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core import __version__
from core.anomaly.operating import save_point
from core.cli.console import UsageError, say, say_json
from core.evaluation.feedback import Chosen, Feedback, Outcome, choose, read_feedback
from core.evaluation.statistics import EvaluationError
from core.io.atomic import write_bytes
from core.networks.copies import check_copy, copy_model
from core.networks.zoo import CARD, ModelInfo


def operating_copy(
    info: ModelInfo, folder: Path, false_alarms: float, out: Path, seed: int, as_json: bool
) -> None:
    """Choose a point for each map that readers read, and write a copy of the model that analyses by it.

    Raises
    ------
    ModelError
        Where ``out`` is there already, or its name is none for a model.
    UsageError
        Where feedback is of another model, or no map gives a point.
    EvaluationError
        Where the feedback can't be read.
    """
    check_copy(info, out)
    feedback = [one for one in read_feedback(folder) if one.model_hash == info.hash]
    if not feedback:
        raise UsageError(
            f"{folder}: no feedback on {info.name} as it is in {info.folder} (hash {info.hash[:12]}…); "
            "expected feedback on its own flags"
        )
    chosen: list[Chosen] = []
    failed: list[str] = []
    for name in sorted({one.map for one in feedback}):
        try:
            chosen.append(choose(feedback, name, false_alarms, seed))
        except EvaluationError as error:
            failed.append(str(error))
    if not chosen:
        raise UsageError("; ".join(failed))
    told = {one.map: facts(one) for one in chosen}
    about = {
        "command": f"calibrate {info.name} --from-feedback {folder.name} --false-alarms {false_alarms:g}",
        "false_alarms_asked_for": false_alarms,
        "seed": seed,
        "model_hash": info.hash,
        "synthetic": any(one.synthetic for one in feedback),
        "software": f"fontanelle {__version__}",
        "maps": told,
    }
    write_copy(info, chosen, about, out)
    if as_json:
        say_json({"folder": str(out), "points": about, "not_set": failed})
        return
    say(f"{out}: written; {info.folder} is as it was")
    for one in chosen:
        for text in lines(one, feedback):
            print(text)
    for text in failed:
        say(f"not set: {text}")


def write_copy(info: ModelInfo, chosen: list[Chosen], about: dict[str, Any], out: Path) -> None:
    """The model's files, the point, and a card that tells of it; the folder appears whole or not at all."""

    def change(copy: Path) -> None:
        save_point({one.map: one.point for one in chosen}, about, copy)
        card = [(copy / CARD).read_text().rstrip(), "", "## Operating point from readers' feedback", ""]
        if about["synthetic"]:
            card += ["Chosen on synthetic scans: nothing here is clinical.", ""]
        for one in chosen:
            first, *rest = lines(one, [])
            card += [f"- {first}", *(f"  - {text.strip()}" for text in rest)]
        card += ["", f"`python -m core {about['command']} --seed {about['seed']}`", ""]
        write_bytes(copy / CARD, "\n".join(card).encode())

    copy_model(info, out, change)


def facts(one: Chosen) -> dict[str, Any]:
    """What the folder holds of how a point was chosen."""
    return {
        "point": asdict(one.point),
        "chosen_on": _outcome(one.chosen_on),
        "reported_on": _outcome(one.reported_on),
        "subjects_chosen_on": list(one.subjects[0]),
        "subjects_reported_on": list(one.subjects[1]),
        "warnings": list(one.warnings),
    }


def _outcome(one: Outcome) -> dict[str, Any]:
    # JSON has no NaN: null where an interval or share isn't known.
    def numbers(value: float) -> float | None:
        return value if value == value else None

    return {
        "scans": one.scans,
        "accepted_kept": one.accepted,
        "accepted": one.accepted_of,
        "rejected_kept": one.rejected,
        "share": [numbers(v) for v in (one.share.value, one.share.low, one.share.high)],
        "false_alarms": [
            numbers(v) for v in (one.false_alarms.value, one.false_alarms.low, one.false_alarms.high)
        ],
    }


def lines(one: Chosen, feedback: list[Feedback]) -> list[str]:
    """A point in words."""
    point, there = one.point, one.reported_on
    mark = " (synthetic scans)" if any(scan.synthetic for scan in feedback) else ""
    return [
        f"{one.map} map{mark}: band {point.band} or higher, {point.floor_mm3:g} mm³ or more",
        f"  chosen on {one.chosen_on.scans} scans: keeps {one.chosen_on.accepted} of "
        f"{one.chosen_on.accepted_of} accepted flags, {one.chosen_on.false_alarms.value:.2f} rejected a scan",
        f"  on the other {there.scans} scans: keeps {there.accepted} of {there.accepted_of} accepted flags"
        f"{_interval(there.share.low, there.share.high, percent=True)}, {there.false_alarms.value:.2f} "
        f"rejected a scan{_interval(there.false_alarms.low, there.false_alarms.high)}",
        *(f"  note: {text}" for text in one.warnings),
    ]


def _interval(low: float, high: float, percent: bool = False) -> str:
    if low != low:
        return " (too few for an interval)"
    return f" (95 % {low:.0%} to {high:.0%})" if percent else f" (95 % {low:.2f} to {high:.2f})"
