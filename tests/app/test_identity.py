"""A name is typed only where no login and no proxy says who reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import identity
from app.feedback.store import SavedReader, StoreError, list_readers, open_store, reader_for
from core.config import settings


@pytest.mark.parametrize(
    ("user", "known", "mapped", "expected"),
    [
        ({"is_logged_in": True, "email": "a@b.c", "name": "A"}, "oidc", [], "a@b.c"),
        ({"is_logged_in": True, "name": "A"}, "oidc", [], "A"),
        ({"is_logged_in": False, "email": "a@b.c"}, "oidc", [], None),
        ({"email": "a@b.c"}, "oidc", [], None),
        # The proxy's own key counts, not a claim that happens to be there.
        ({"email": "test@example.com", "remote": "ada"}, "header", ["remote"], "ada"),
        ({"email": "test@example.com"}, "header", ["remote"], None),
        ({"remote": "  "}, "header", ["remote"], None),
    ],
)
def test_claimed_name(user: dict[str, Any], known: Any, mapped: list[str], expected: str | None) -> None:
    assert identity.claimed_name(user, known, mapped) == expected


class User:
    def __init__(self, **claims: Any) -> None:
        self.claims = claims

    def to_dict(self) -> dict[str, Any]:
        return self.claims


@pytest.mark.parametrize(
    ("headers", "claims", "expected"),
    [
        ({}, {"email": "test@example.com"}, "typed"),
        ({}, {"is_logged_in": False}, "oidc"),
        ({"X-Remote-User": "remote"}, {"remote": "ada"}, "header"),
    ],
)
def test_source(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], claims: dict[str, Any], expected: str
) -> None:
    monkeypatch.setattr(identity.st, "get_option", lambda name: headers)
    monkeypatch.setattr(identity.st, "user", User(**claims))
    assert identity.source() == expected


def test_login_and_header_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.st, "get_option", lambda name: {"X-Remote-User": "remote"})
    monkeypatch.setattr(identity.st, "user", User(is_logged_in=True))
    with pytest.raises(StoreError, match="keep one"):
        identity.source()


def page() -> None:
    import streamlit as st

    from app import identity

    identity.badge()
    st.title(identity.require_reader().name)


def test_name_is_asked_once_and_chosen_again_after_a_reload(data_dir: Path) -> None:
    at = AppTest.from_function(page, default_timeout=20).run()
    assert not at.title
    assert "nobody checks it" in at.caption[0].value
    at.text_input(key="who_typed").set_value("Ada [x](http://y) **b**")
    at.button[0].click().run()
    assert at.title[0].value == "Ada [x](http://y) **b**"
    assert r"Ada \[x\]\(http\:" in at.sidebar.markdown[0].value, "shown as text, not as a link"
    assert "not verified" in at.sidebar.markdown[0].value
    reloaded = AppTest.from_function(page, default_timeout=20).run()
    assert not [one for one in at.main.markdown if "Not listed?" in one.value], "there was one field only"
    assert "Not listed? Type *Your name*" in reloaded.main.markdown[0].value
    reloaded.selectbox(key="who_known").set_value("Ada [x](http://y) **b**")
    reloaded.button[0].click().run()
    assert reloaded.title[0].value == "Ada [x](http://y) **b**"
    assert len(list_readers(open_store(settings().store_url), "typed")) == 1
    reloaded.button(key="change_reader").click().run()
    assert not reloaded.title


@pytest.mark.parametrize("known", [["Ada"], ["Ada", "Bob"]])
def test_no_reader_of_another_browser_is_preselected(data_dir: Path, known: list[str]) -> None:
    for name in known:
        reader_for(open_store(settings().store_url), name, "typed")
    at = AppTest.from_function(page, default_timeout=20).run()
    assert at.selectbox(key="who_known").value is None
    assert at.selectbox(key="who_known").proto.placeholder == "Choose…"
    at.button[0].click().run()
    assert at.error[0].value == "Give your name first."
    assert not at.title


def test_change_reader_offers_the_sessions_own_last_name(data_dir: Path) -> None:
    at = AppTest.from_function(page, default_timeout=20).run()
    at.text_input(key="who_typed").set_value("Ada")
    at.button[0].click().run()
    reader_for(open_store(settings().store_url), "Bob", "typed")
    at.button(key="change_reader").click().run()
    assert at.selectbox(key="who_known").value == "Ada"


def test_header_names_the_reader(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "source", lambda: "header")
    monkeypatch.setattr(identity.st, "user", User(remote="ada"))
    monkeypatch.setattr(identity.st, "get_option", lambda name: {"X-Remote-User": "remote"})
    at = AppTest.from_function(page, default_timeout=20).run()
    assert at.title[0].value == "ada"
    assert not at.text_input
    assert list_readers(open_store(settings().store_url), "header")[0].name == "ada"


@pytest.mark.parametrize(
    ("named", "reader", "expected"),
    [
        ("", SavedReader(1, "Ada", "typed"), True),
        ("", SavedReader(1, "ada@x.org", "oidc"), False),
        ("", SavedReader(1, "ada", "header"), False),
        (" Bob ,ada@x.org", SavedReader(1, "ada@x.org", "oidc"), True),
        ("Bob", SavedReader(1, "Ada", "typed"), False),
        ("A. Reader", SavedReader(1, "Reader", "typed"), False),
        ("", None, False),
    ],
)
def test_coordinators(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, named: str, reader: SavedReader | None, expected: bool
) -> None:
    monkeypatch.setenv("FONTANELLE_COORDINATORS", named)
    settings.cache_clear()
    assert identity.is_coordinator(reader) is expected


def keeper(at: AppTest) -> dict[str, Any]:
    """What the tab's own storage is told."""
    return json.loads(at.get("bidi_component")[0].proto.json)


def come_back(at: AppTest, name: str) -> AppTest:
    """A new session of the tab, in which its storage gives the name back."""
    session = {name_: at.session_state[name_] for name_ in at.session_state} | {
        identity.KEEPER: {"name": name}
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity.st, "session_state", session)
        identity._take_up()
    for key in (identity.READER, identity.LAST, identity.BACK):
        if key in session:
            at.session_state[key] = session[key]
    return at.run()


def test_a_name_outlives_a_reload_of_its_tab(data_dir: Path) -> None:
    first = AppTest.from_function(page, default_timeout=20).run()
    assert keeper(first) == {"name": "", "forgotten": False}
    first.text_input(key="who_typed").set_value("Ada *b*")
    first.button[0].click().run()
    assert keeper(first) == {"name": "Ada *b*", "forgotten": False}
    again = come_back(AppTest.from_function(page, default_timeout=20).run(), "Ada *b*")
    assert again.title[0].value == "Ada *b*"
    assert r"Reading as **Ada \*b\***, as before. Not you?" in again.toast[0].value
    assert not again.run().toast, "said once"
    again.button(key="change_reader").click().run()
    assert keeper(again) == {"name": "", "forgotten": True}, "the tab forgets who left"


def test_a_name_that_is_not_known_here_is_asked_for(data_dir: Path) -> None:
    """The tab's storage is the browser's: it gives nobody a name that was not typed here."""
    at = come_back(AppTest.from_function(page, default_timeout=20).run(), "Eve")
    assert not at.title
    assert keeper(at) == {"name": "", "forgotten": True}
    assert list_readers(open_store(settings().store_url), "typed") == []


def test_a_name_kept_by_the_tab_changes_nobody_who_reads(data_dir: Path) -> None:
    store = open_store(settings().store_url)
    reader_for(store, "Bob", "typed")
    at = AppTest.from_function(page, default_timeout=20)
    at.session_state["reader"] = reader_for(store, "Ada", "typed")
    assert come_back(at.run(), "Bob").title[0].value == "Ada"
