"""What a lesson's followers wait for, in the memory of this process: changes, presence, the pointer.

Only what may be lost lives here alone. A server that is started again finds the lesson in the store, and
presence and pointer anew from its followers.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

# A stream that ends is followed by the next within a second; until then its learner is still here.
LINGER_SECONDS = 3.0


@dataclass
class Live:
    """One lesson. The counters only grow, so that a follower sees that something changed."""

    changes: int = 0
    pointed: int = 0
    pointer: dict[str, Any] | None = None
    place: dict[str, Any] | None = None  # {"id", "case", "mm"}: where the teacher last sent the class
    here: Counter[str] = field(default_factory=Counter)  # learner id -> open streams
    left: dict[str, float] = field(default_factory=dict)  # learner id -> when the last one closed


_lives: dict[str, Live] = {}
_lock = Lock()


def live(lesson_id: str, pointer: dict[str, Any] | None = None) -> Live:
    """The lesson's state in this process; ``pointer`` is where a new one begins."""
    with _lock:
        if lesson_id not in _lives:
            _lives[lesson_id] = Live(pointer=pointer)
        return _lives[lesson_id]


def touch(lesson_id: str) -> None:
    """Something in the store changed: followers look again."""
    found = live(lesson_id)
    with _lock:
        found.changes += 1


def aim(lesson_id: str, pointer: dict[str, Any] | None) -> None:
    """Move the pointer, or take it away."""
    found = live(lesson_id)
    with _lock:
        found.pointer = pointer
        found.pointed += 1


def send_to(lesson_id: str, place: dict[str, Any]) -> None:
    """Take the class to a place of the answer."""
    found = live(lesson_id)
    with _lock:
        found.place = place
        found.changes += 1


def arrive(lesson_id: str, learner_id: str) -> None:
    """A learner's stream opened."""
    found = live(lesson_id)
    with _lock:
        found.here[learner_id] += 1
        found.changes += 1


def leave(lesson_id: str, learner_id: str) -> None:
    """A learner's stream closed."""
    found = live(lesson_id)
    with _lock:
        found.here[learner_id] -= 1
        found.left[learner_id] = time.monotonic()


def present(lesson_id: str) -> frozenset[str]:
    """Learners with an open stream, or one that closed a moment ago."""
    found = live(lesson_id)
    since = time.monotonic() - LINGER_SECONDS
    with _lock:
        open_now = {one for one, streams in found.here.items() if streams > 0}
        return frozenset(open_now | {one for one, when in found.left.items() if when > since})
