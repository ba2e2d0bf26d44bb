"""What stands around the pages: the notice, once on each, and the sweep at the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_cache import populate_hash_if_needed
from streamlit.testing.v1 import AppTest

from core.config import ROOT, settings
from tests.casefactory import write_case

MAIN = str(ROOT / "app" / "main.py")


def words(at: AppTest) -> list[str]:
    """Every text on the page, the sidebar's too."""
    elements = [*at.main, *at.sidebar]
    protos = [getattr(element, "proto", None) for element in elements]
    return [str(getattr(proto, "body", "")) for proto in protos]


@pytest.mark.parametrize("page", ["worklist", "review", "upload", "cohort", "about"])
@pytest.mark.parametrize("filled", [True, False])
def test_notice_stands_once_on_each_page(data_dir: Path, page: str, filled: bool) -> None:
    if filled:
        write_case(settings().derivatives_dir)
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page(f"pages/{page}.py")
    at.run()
    assert not at.exception, at.exception
    said = "\n".join(words(at)).lower()
    assert said.count("not a medical device") == 1
    assert said.count("research software") == 1


def test_no_message_is_sent_by_its_hash_alone() -> None:
    message = ForwardMsg()
    message.delta.new_element.markdown.body = "x" * 1_000_000
    populate_hash_if_needed(message)
    assert message.metadata.cacheable is False


def test_leftovers_of_killed_checks_are_swept_at_the_start(data_dir: Path) -> None:
    left = settings().uploads_dir / ".incoming-x1"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    AppTest.from_file(MAIN, default_timeout=30).run()
    assert not left.exists()
