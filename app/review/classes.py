"""Classes of a whole scan: the scheme of the paper's reference 33, explained in our own words."""

from __future__ import annotations

from typing import get_args

from app.feedback.reads import Classification

INADEQUATE: Classification = "inadequate"

# What each class means, in our words. 1A stands in the paper itself (minimal cerebral lesions without basal
# ganglia, thalami or internal capsule); the others follow the six levels of its reference 33 from normal to
# hemispheric devastation, whose text was not at hand.
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
    "The scheme is the NICHD Neonatal Research Network's pattern of brain injury in neonatal encephalopathy, "
    "the paper's reference 33 (Shankaran et al., J. Pediatr. 167, 987–93, 2015). The wording is ours: the "
    "paper describes 1A alone. Hold it against the original before a study. The revision of 2025 (JAMA "
    "Pediatr. 179, 383–95), which parts watershed from deep grey injury, is another scheme. Made for "
    "encephalopathy: an incidental finding may fit no class."
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
