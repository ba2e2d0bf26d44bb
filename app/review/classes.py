"""Classes of a whole scan: the scheme of the paper's reference 33, explained in our own words."""

from __future__ import annotations

from typing import get_args

from app.feedback.reads import Classification

INADEQUATE: Classification = "inadequate"

# What each class means. 1A stands in the paper itself; the others follow the pattern of injury that its
# reference 33 (Shankaran et al., J. Pediatr. 167, 987–93, 2015) uses, six levels from normal to hemispheric
# devastation.
MEANINGS: dict[Classification, tuple[str, str]] = {
    "normal": ("Normal", "No injury seen."),
    "1A": (
        "1A",
        "Minimal cerebral lesions only; basal ganglia, thalami and internal capsule are spared, and there is "
        "no watershed infarction.",
    ),
    "1B": (
        "1B",
        "More extensive cerebral lesions; basal ganglia, thalami and internal capsule are spared, and there "
        "is no watershed infarction.",
    ),
    "2A": (
        "2A",
        "Basal ganglia, thalami or internal capsule involved, or watershed infarction; no other cerebral "
        "lesions.",
    ),
    "2B": (
        "2B",
        "Basal ganglia, thalami or internal capsule involved, or watershed infarction; and other cerebral "
        "lesions.",
    ),
    "3": ("3", "Devastation of the cerebral hemispheres."),
    "inadequate": ("Inadequate", "The image can't be read (motion, coverage, contrast). This ends the case."),
}
# The key of each class on every page: a hand that knows it from Review must not say another class elsewhere.
DIGITS: dict[Classification, str] = {
    "normal": "0",
    "1A": "1",
    "1B": "2",
    "2A": "3",
    "2B": "4",
    "3": "5",
    "inadequate": "9",
}
SOURCE = (
    "Pattern of injury in neonatal encephalopathy, the paper's reference 33 (Shankaran et al., J. Pediatr. "
    "2015), in our words; hold them against the original before a study. Made for encephalopathy: an "
    "incidental finding may fit no class."
)


def label(value: str) -> str:
    """A class as readers see it."""
    return next((words[0] for name, words in MEANINGS.items() if name == value), value)


def meaning(value: Classification) -> str:
    """A class explained, with its source."""
    return f"{MEANINGS[value][1]}\n\n*{SOURCE}*"


def classification(value: str) -> Classification:
    """``value`` where it is a class.

    Raises
    ------
    ValueError
    """
    for name in get_args(Classification):
        if name == value:
            found: Classification = name
            return found
    raise ValueError(f"class {value!r}; expected one of {', '.join(MEANINGS)}")
