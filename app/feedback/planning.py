"""Who reads which scans in which order: a pure function of what a coordinator chose and a seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Ordering = Literal["random", "score", "given"]
Kind = Literal["case", "repeat", "planted"]
GAP = 10  # other scans between a scan and its repeat, unless told otherwise


class PlanError(ValueError):
    """What was chosen can't be distributed; the text is meant for the coordinator."""


@dataclass(frozen=True)
class PlanCase:
    """A scan to be read; ``score`` orders by score, highest first, those without one last."""

    case_id: str
    input_hash: str
    score: float | None = None


@dataclass(frozen=True)
class Planned:
    """One scan for one reader (an index into the readers given), ``position`` in their order, from 1."""

    reader: int
    position: int
    case_id: str
    input_hash: str
    pass_number: int
    kind: Kind


def plan(
    cases: Sequence[PlanCase],
    readers: int,
    k: int,
    ordering: Ordering,
    repeat_fraction: float,
    planted: Sequence[PlanCase],
    seed: int,
    gap: int = GAP,
) -> list[Planned]:
    """Each case to ``k`` of ``readers`` readers; loads differ by 1 at most. Same arguments, same plan.

    A reader's cases come at random, by score or as given. A fraction of them, rounded, is served again as
    pass 2 with ``gap`` other scans or more between. Every reader gets every planted scan, at random places.
    Rows by reader and position.

    Raises
    ------
    PlanError
        Where there is nothing to read or nobody to read it, ``k``, fraction or gap is out of range, a scan is
        there twice, or a list is too short for its repeats.
    """
    _check(cases, readers, k, ordering, repeat_fraction, planted, gap)
    rows = []
    for reader, mine in enumerate(_shares(cases, readers, k, Random(f"{seed} shares"))):
        chance = Random(f"{seed} reader {reader}")
        line: list[tuple[PlanCase, Kind]] = [(case, "case") for case in _ordered(mine, ordering, chance)]
        for case in planted:
            line.insert(chance.randint(0, len(line)), (case, "planted"))
        _repeat(line, round(repeat_fraction * len(mine)), gap, chance)
        rows += [
            Planned(reader, at, case.case_id, case.input_hash, 2 if kind == "repeat" else 1, kind)
            for at, (case, kind) in enumerate(line, 1)
        ]
    return rows


def _check(
    cases: Sequence[PlanCase],
    readers: int,
    k: int,
    ordering: Ordering,
    repeat_fraction: float,
    planted: Sequence[PlanCase],
    gap: int,
) -> None:
    if not cases:
        raise PlanError("Choose at least one case.")
    if readers < 1:
        raise PlanError("Choose at least one reader.")
    if not 1 <= k <= readers:
        raise PlanError(f"{k} readers for each case; expected 1 to {readers}, the number of readers.")
    if ordering not in ("random", "score", "given"):
        raise PlanError(f"Order {ordering!r}; expected random, score or given.")
    if not 0 <= repeat_fraction <= 1:
        raise PlanError(f"{repeat_fraction} of the cases served again; expected 0 to 1.")
    if gap < 1:
        raise PlanError(f"{gap} other scans between a case and its repeat; expected 1 or more.")
    twice = _twice([*cases, *planted])
    if twice is not None:
        raise PlanError(f"{twice} is there twice; a planted scan can't be one of the cases.")


def _twice(cases: Iterable[PlanCase]) -> str | None:
    seen: set[str] = set()
    for case in cases:
        if case.case_id in seen:
            return case.case_id
        seen.add(case.case_id)
    return None


def _shares(cases: Sequence[PlanCase], readers: int, k: int, chance: Random) -> list[list[PlanCase]]:
    """Each reader's cases in the given order: each case goes to the ``k`` with least so far, ties at random.

    That keeps loads within 1 after each case.
    """
    loads = [0] * readers
    takers: dict[str, list[int]] = {}
    for case in chance.sample(list(cases), len(cases)):
        least = sorted(range(readers), key=lambda reader: (loads[reader], chance.random()))[:k]
        takers[case.case_id] = least
        for reader in least:
            loads[reader] += 1
    return [[case for case in cases if reader in takers[case.case_id]] for reader in range(readers)]


def _ordered(cases: list[PlanCase], ordering: Ordering, chance: Random) -> list[PlanCase]:
    if ordering == "random":
        return chance.sample(cases, len(cases))
    if ordering == "score":
        return sorted(
            cases, key=lambda case: float("-inf") if case.score is None else case.score, reverse=True
        )
    return cases


def _repeat(line: list[tuple[PlanCase, Kind]], count: int, gap: int, chance: Random) -> None:
    """Put ``count`` of the cases in ``line`` into it again, each with ``gap`` others or more before it."""
    early = [case for at, (case, kind) in enumerate(line) if kind == "case" and len(line) - 1 - at >= gap]
    if count > len(early):
        raise PlanError(
            f"Lists of {len(line)} scans are too short to serve {count} again with {gap} others between; "
            f"{_fits(line, count)}"
        )
    for case in chance.sample(early, count):
        first = next(at for at, (one, _) in enumerate(line) if one is case)
        # What is put in later only widens the distance.
        line.insert(chance.randint(first + gap + 1, len(line)), (case, "repeat"))


def _fits(line: list[tuple[PlanCase, Kind]], count: int) -> str:
    """The largest gap that leaves ``count`` cases to serve again."""
    cases = [at for at, (_, kind) in enumerate(line) if kind == "case"]
    widest = len(line) - 1 - cases[count - 1] if count <= len(cases) else 0
    return f"at most {widest} fit." if widest >= 1 else "serve fewer again."
