"""The vocabulary is edited without touching what answers hold."""

from __future__ import annotations

import pytest

from app.feedback.store import Store, StoreError
from app.feedback.vocabulary import add_term, move_term, rename_term, retire_term, terms


def labels(store: Store) -> list[str]:
    return [term.label for term in terms(store)]


def test_it_starts_with_nine_terms(store: Store) -> None:
    assert [term.position for term in terms(store)] == list(range(1, 10))
    assert labels(store)[0] == "White-matter injury"
    assert labels(store)[-1] == "Normal variant"


def test_terms_are_added_at_the_end_under_a_name_of_their_own(store: Store) -> None:
    assert add_term(store, "  Motion  ghost ").name == "motion_ghost"
    assert add_term(store, "Motion: ghost").name == "motion_ghost_2"
    assert add_term(store, "Φ").name == "term"
    assert labels(store)[-3:] == ["Motion ghost", "Motion: ghost", "Φ"]


@pytest.mark.parametrize("label", ["", "  ", "x" * 101, "cyst", "CYST"])
def test_empty_long_and_doubled_labels_are_refused(store: Store, label: str) -> None:
    with pytest.raises(StoreError, match=r"1 to 100 characters|is in the vocabulary already"):
        add_term(store, label)
    assert len(labels(store)) == 9


def test_a_label_changes_and_the_name_stays(store: Store) -> None:
    rename_term(store, "cyst", "Cyst or cavity")
    assert ("cyst", "Cyst or cavity") in [(term.name, term.label) for term in terms(store)]
    rename_term(store, "cyst", "CYST")  # its own label in other letters is no clash
    with pytest.raises(StoreError, match="“Infarct” is in the vocabulary"):
        rename_term(store, "cyst", "infarct")
    with pytest.raises(StoreError, match="not in the vocabulary"):
        rename_term(store, "no_such", "New")


def test_retired_terms_are_offered_no_more_and_can_come_back(store: Store) -> None:
    retire_term(store, "cyst", True)
    assert "Cyst" not in labels(store)
    assert next(term for term in terms(store, retired=True) if term.name == "cyst").retired
    with pytest.raises(StoreError, match=r"already .retired."):
        add_term(store, "Cyst")
    retire_term(store, "cyst", False)
    assert labels(store)[3] == "Cyst"


def test_terms_move_and_stop_at_the_ends(store: Store) -> None:
    move_term(store, "infarct", -1)
    assert labels(store)[:4] == ["White-matter injury", "Infarct", "Haemorrhage", "Cyst"]
    move_term(store, "infarct", -5)
    move_term(store, "cyst", 99)
    assert (labels(store)[0], labels(store)[-1]) == ("Infarct", "Cyst")
    assert [term.position for term in terms(store)] == list(range(1, 10))
