"""The routes of lessons: who may do what, streams of what happened, the pointer in memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.routing import Route

from app.feedback.database import transaction
from app.feedback.learners import commits, marks
from app.feedback.lessons import find_lesson, reveal
from app.feedback.models import Lesson
from app.feedback.store import new_id, reader_for
from app.routes import PREFIX, volume
from app.teach import hub, web
from app.teach.snapshot import Follower
from app.teach.truth import truth
from app.viewer.volumes import kinds, wire
from core.config import settings
from core.io.derivatives import CasePaths
from tests.app.feedback.readings import assign
from tests.app.teach.cohort import LEFT_MM, NORMAL, SICK
from tests.app.teach.conftest import Class

WHERE = {"on": True, "plane": 1, "mm": [1.0, 2.0, 3.0], "cross": [0.0, 0.0, 0.5]}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests through the routes, without a network."""

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        scope = {
            "type": "http",
            "asgi": {"spec_version": "2.4"},
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("test", 80),
            "headers": [],
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not incoming:
                await asyncio.Event().wait()  # the browser stays
            return incoming.pop()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        review = Route(f"{PREFIX}/volume/{{token}}/{{name}}.nii.gz", volume)
        asyncio.run(Starlette(routes=[*web.routes(), review])(scope, receive, send))  # type: ignore[arg-type]
        fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], fields, b"".join(part.get("body", b"") for part in sent[1:]))

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(web, "STREAM_SECONDS", 0.6)
    monkeypatch.setattr(hub, "_lives", {})
    return Client()


def token(given: Class, role: str = "learner") -> str:
    return web.token_for(
        Follower(role, given.lesson.id, given.ann.id if role == "learner" else "")  # type: ignore[arg-type]
    )


def post(client: Client, token: str, action: str, **content: Any) -> tuple[int, dict[str, Any]]:
    answer = client.ask("POST", f"/fontanelle/lesson/{token}/{action}", json.dumps(content).encode())
    assert answer.headers["cache-control"] == "no-store"
    return answer.status, answer.json


def stream(client: Client, token: str) -> list[tuple[str, Any]]:
    """Events of one whole stream."""
    answer = client.get(f"/fontanelle/lesson/{token}/events")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [
        block.splitlines() for block in answer.body.decode().split("\n\n") if block.startswith("event:")
    ]
    return [
        (lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in blocks
    ]


def test_a_learner_marks_words_removes_and_commits(client: Client, lesson_class: Class) -> None:
    mine, first, second = token(lesson_class), new_id(), new_id()
    status, answer = post(client, mine, "mark", id=first, case=0, mm=LEFT_MM)
    assert (status, [one["id"] for one in answer["marks"]]) == (200, [first])
    assert post(client, mine, "mark", id=first, case=0, mm=LEFT_MM)[0] == 200, "a retry"
    _, answer = post(client, mine, "mark", id=second, case=0, mm=LEFT_MM, type="cyst", note="?", before=first)
    assert answer["marks"] == [{"id": second, "mm": list(LEFT_MM), "type": "cyst", "note": "?"}]
    _, answer = post(client, mine, "remove", id=new_id(), case=0, mark=second)
    assert answer["marks"] == []
    assert post(client, mine, "commit", case=0, seconds=7.5) == (200, {"committed": True})
    status, answer = post(client, mine, "mark", id=new_id(), case=0, mm=LEFT_MM)
    assert status == 409
    assert "committed this scan" in answer["error"]
    made = commits(lesson_class.store, lesson_class.lesson.id)
    assert [(one.active_seconds, one.automatic) for one in made] == [(7.5, False)]
    bob = web.token_for(Follower("learner", lesson_class.lesson.id, lesson_class.bob.id))
    assert post(client, bob, "commit", case=0, seconds=2, automatic=True)[0] == 200, "the end of the time"
    made = commits(lesson_class.store, lesson_class.lesson.id)
    assert {one.learner_id: one.automatic for one in made} == {
        lesson_class.ann.id: False,
        lesson_class.bob.id: True,
    }


def test_roles_keep_to_their_own(client: Client, lesson_class: Class) -> None:
    for role, action in (
        ("learner", "next"),
        ("learner", "reveal"),
        ("learner", "point"),
        ("learner", "close"),
        ("projector", "point"),
        ("projector", "reveal"),
        ("teacher", "mark"),
        ("learner", "nonsense"),
    ):
        status, answer = post(client, token(lesson_class, role), action, case=0)
        assert (status, answer["error"]) == (403, f"A {role} can't {action}.")
    lesson = find_lesson(lesson_class.store, lesson_class.lesson.id)
    assert lesson == lesson_class.lesson


def test_a_token_is_signed(client: Client, lesson_class: Class) -> None:
    good = token(lesson_class)
    # Not the last letter: it has bits that no byte uses.
    altered = good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:]
    for bad in (altered, "x", f"{good}.x"):
        assert post(client, bad, "commit", case=0)[0] == 401
        assert client.get(f"/fontanelle/lesson/{bad}/events").status == 401
        assert client.get(f"/fontanelle/lesson/{bad}/truth-0.nii.gz").status == 401
    assert commits(lesson_class.store, lesson_class.lesson.id) == []


@pytest.mark.parametrize(
    "content",
    [{}, {"id": "x", "case": 0, "mm": [1, 2]}, {"id": "x", "case": "a", "mm": [1, 2, 3]}, {"case": None}],
)
def test_what_can_t_be_read_is_told(client: Client, lesson_class: Class, content: dict[str, Any]) -> None:
    status, answer = post(client, token(lesson_class), "mark", **content)
    assert status == 400
    assert "can't be read" in answer["error"]


def test_sizes_and_places_have_limits(client: Client, lesson_class: Class) -> None:
    mine = token(lesson_class)
    assert post(client, mine, "mark", id=new_id(), case=0, mm=[0, 0, 5000])[0] == 403
    status, answer = post(client, mine, "mark", id=new_id(), case=0, mm=[0, 0, 0], note="x" * 9000)
    assert status == 403
    assert "at most 8192" in answer["error"]
    assert client.ask("POST", f"/fontanelle/lesson/{mine}/mark", b"[1]").status == 403
    assert marks(lesson_class.store, lesson_class.lesson.id) == []


def test_a_teacher_leads(client: Client, lesson_class: Class) -> None:
    mine = token(lesson_class, "teacher")
    assert post(client, mine, "reveal", case=0)[0] == 200
    assert post(client, mine, "next", case=0)[0] == 200
    assert post(client, mine, "next", case=0)[0] == 200, "the same press again"
    lesson = find_lesson(lesson_class.store, lesson_class.lesson.id)
    assert lesson is not None
    assert (lesson.case_index, lesson.revealed) == (1, False)
    assert post(client, mine, "close")[0] == 200
    assert post(client, mine, "reveal", case=1)[0] == 409
    assert post(client, mine, "open")[0] == 200


def test_a_teacher_sends_the_class_to_a_place_of_the_answer(client: Client, lesson_class: Class) -> None:
    mine, there = token(lesson_class, "teacher"), {"id": new_id(), "case": 0, "mm": [4.0, -5.0, 6.5]}
    status, answer = post(client, mine, "show", **there)
    assert (status, answer["error"]) == (403, "The answer is not shown yet.")
    reveal(lesson_class.store, lesson_class.lesson.id, index=0)
    assert post(client, mine, "show", **there)[0] == 200
    for role in ("learner", "projector"):
        assert dict(stream(client, token(lesson_class, role)))["state"]["lesson"]["place"] == there
    assert post(client, token(lesson_class), "show", **there)[0] == 403
    assert post(client, mine, "show", **there | {"mm": [1.0, 2.0]})[0] == 403
    assert post(client, mine, "show", **there | {"case": 1})[0] == 403


def test_a_scan_that_is_held_back_is_left_out_when_asked_to(client: Client, lesson_class: Class) -> None:
    record, mine = lesson_class.cases[NORMAL], token(lesson_class, "teacher")
    reader = reader_for(lesson_class.store, "Ada", "typed").id
    assign(lesson_class.store, [reader], record.case_id, input_hash=record.input_hash)
    told = dict(stream(client, mine))["state"]["lesson"]["held"]
    assert told["reveal"] == ""
    assert "Scan 2 is held back: 1 reader has still to finish" in told["next"]
    status, answer = post(client, mine, "next", case=0)
    assert (status, answer["error"]) == (409, told["next"])
    status, answer = post(client, mine, "next", case=0, leaveOut=True)
    assert (status, answer["error"]) == (409, "No scan of this lesson is left: the others are held back.")
    assert "held" not in dict(stream(client, token(lesson_class)))["state"]["lesson"], "the class is not told"


def test_a_stream_tells_state_pointer_and_presence(client: Client, lesson_class: Class) -> None:
    events = stream(client, token(lesson_class))
    assert [name for name, _ in events][:2] == ["state", "pointer"]
    state, pointer = events[0][1], events[1][1]
    assert abs(state["now"] / 1000 - time.time()) < 5
    assert (state["lesson"]["name"], state["lesson"]["counts"]["here"]) == ("Ann", 1)
    assert pointer is None
    assert hub.present(lesson_class.lesson.id) == {lesson_class.ann.id}, "still here for a moment"


def test_the_pointer_goes_through_memory_and_outlives_it(client: Client, lesson_class: Class) -> None:
    teacher, id = token(lesson_class, "teacher"), lesson_class.lesson.id
    assert post(client, teacher, "point", **WHERE)[0] == 200
    moved = WHERE | {"mm": [4.0, 5.0, 6.0]}
    assert post(client, teacher, "point", **moved)[0] == 200
    told = {"plane": 1, "mm": [4.0, 5.0, 6.0], "cross": [0.0, 0.0, 0.5]}
    assert dict(stream(client, token(lesson_class)))["pointer"] == told
    lesson = find_lesson(lesson_class.store, id)
    assert lesson is not None
    assert lesson.pointer == told | {"mm": [1.0, 2.0, 3.0]}, "a movement is no write"
    hub._lives.clear()  # as after a restart
    assert dict(stream(client, token(lesson_class)))["pointer"] == lesson.pointer
    assert post(client, teacher, "point", on=False)[0] == 200
    assert dict(stream(client, token(lesson_class)))["pointer"] is None
    for bad in (WHERE | {"plane": 3}, WHERE | {"mm": [1.0]}):
        assert post(client, teacher, "point", **bad)[0] == 403


def test_a_follower_hears_of_a_change_at_once(
    client: Client, lesson_class: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STREAM_SECONDS", 1.5)
    teacher = token(lesson_class, "teacher")
    timer = threading.Timer(0.5, lambda: post(client, teacher, "reveal", case=0))
    timer.start()
    states = [
        content["lesson"]["revealed"]
        for name, content in stream(client, token(lesson_class))
        if name == "state"
    ]
    timer.join()
    assert states[0] is False
    assert states[-1] is True


def test_the_truth_is_sent_after_the_reveal_only(client: Client, lesson_class: Class) -> None:
    mine = token(lesson_class)
    answer = client.get(f"/fontanelle/lesson/{mine}/truth-{'0' * 16}.nii.gz")
    assert (answer.status, answer.json["error"]) == (403, "The answer is not shown yet.")
    reveal(lesson_class.store, lesson_class.lesson.id, index=0)
    state = dict(stream(client, mine))["state"]["lesson"]
    volume = state["answer"]["truth"]["volume"]
    sent = client.get(volume["url"].replace("TOKEN", mine))
    assert sent.status == 200
    assert sent.headers["etag"] == f'"{volume["hash"]}"'
    assert max(gzip.decompress(sent.body)[352:]) == 2
    assert client.get(f"/fontanelle/lesson/{mine}/truth-{'0' * 16}.nii.gz").status == 404


def test_a_learner_gets_neither_maps_nor_truth_before_the_reveal(client: Client, lesson_class: Class) -> None:
    """By no address that the page gives, and none that can be made of it: whatever is asked for by name."""
    record = lesson_class.cases[SICK]
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    built = {kind: wire(paths, record.model, kind).hash[:16] for kind in kinds(record)}
    answer = truth(settings().demo_dir, record.case_id, record.input_hash)
    assert answer is not None
    assert answer.wire is not None
    built["truth"] = answer.wire.hash[:16]
    mine = token(lesson_class)
    url = dict(stream(client, mine))["state"]["lesson"]["case"]["base"]["url"].replace("TOKEN", mine)
    assert client.get(url).body == wire(paths, record.model, "base").data
    names = [*built, "z", "model", "mask"]
    for what in names:
        for content in {*built.values()}:
            sent = client.get(f"/fontanelle/lesson/{mine}/{what}-{content}.nii.gz")
            assert (sent.status == 200) == (f"/{what}-{content}." in url), (what, content)
    # Nor by Review's own route, whose tokens a lesson's page no longer holds.
    for kind in built:
        assert client.get(f"/fontanelle/volume/{mine}/{kind}.nii.gz").status == 403
    reveal(lesson_class.store, lesson_class.lesson.id, index=0)
    shown = dict(stream(client, mine))["state"]["lesson"]["answer"]
    assert client.get(shown["model"]["z"]["url"]).status == 200
    assert client.get(shown["truth"]["volume"]["url"]).status == 200
    reader = reader_for(lesson_class.store, "Ada", "typed").id
    assign(lesson_class.store, [reader], record.case_id, input_hash=record.input_hash)
    for kept in (shown["model"]["z"]["url"], shown["truth"]["volume"]["url"]):
        assert client.get(kept).status == 403, "a reader has to read it since"


def test_time_that_runs_out_commits_without_anybody(client: Client, lesson_class: Class) -> None:
    """Also where a learner's browser is gone: the streams of the others look after it."""
    with transaction(lesson_class.store, write=True) as session:
        started = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
        session.execute(
            update(Lesson)
            .where(Lesson.id == lesson_class.lesson.id)
            .values(seconds_per_case=30, case_started_utc=started)
        )
    state = dict(stream(client, token(lesson_class, "projector")))["state"]["lesson"]
    assert state["counts"]["committed"] == 2
    assert state["counts"]["unanswered"] == 2, "nobody marked anything"
