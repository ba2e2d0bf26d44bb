"""HTTP routes of lessons: what happened, as server-sent events, and what followers do.

Why not Streamlit's own reruns: a rerun runs a whole script and sends the page again, one at a time for each
browser; thirty learners and a pointer that moves fifteen times a second would queue behind one another. One
open stream a follower costs a comparison of two numbers every 40 ms, and a movement of the pointer goes
through memory, not through the database. Streamlit's page only mounts the viewer and hands it a signed token.

An address holds that token: role, lesson and learner, signed, for half a day. Streams end by themselves
after some seconds, and the browser opens the next: a server that stops waits for open streams, so none may be
long.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from functools import cache
from math import isfinite
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.feedback import learners, lessons
from app.feedback.database import StoreError
from app.feedback.lesson_rows import MarkInput
from app.feedback.owed import held_back
from app.routes import DRAWN_SECRET, IMMUTABLE, PREFIX
from app.state import feedback
from app.teach import hub
from app.teach.results import known
from app.teach.snapshot import DAMAGED, Follower, model_map, own_mark, scan_volume, snapshot
from app.viewer.volumes import Wire
from core.config import settings

TOKEN_SECONDS = 12 * 3600
STREAM_SECONDS = 8.0
LOOK_SECONDS = 0.04  # how long a follower may not hear of a change in this process
STORE_SECONDS = 1.0  # how often the store is asked, for time limits and other processes
BODY_BYTES = 8192
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Refused(ValueError):
    """A request that can't be served; the text is for whoever sent it."""

    status = 403


class Unknown(Refused):
    """A token that this server did not sign, or not lately: the page will bring another."""

    status = 401


@cache
def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings().secret or DRAWN_SECRET, salt="fontanelle.lesson")


def token_for(who: Follower) -> str:
    """Signed address part of a follower."""
    return str(_serializer().dumps([who.role, who.lesson_id, who.learner_id]))


def _who(request: Request) -> Follower:
    try:
        role, lesson_id, learner_id = _serializer().loads(request.path_params["token"], max_age=TOKEN_SECONDS)
    except (BadSignature, ValueError) as error:
        raise Unknown(
            "This page is from before the server was started again, or too old. Reload it."
        ) from error
    return Follower(role, lesson_id, learner_id)


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers=NO_STORE)


def _event(name: str, content: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"


async def events(request: Request) -> Response:
    """``state`` (``{"now": ms, "lesson": …}``) and ``pointer`` whenever they change, for some seconds."""
    try:
        who = _who(request)
    except Refused as error:
        return _error(error.status, str(error))
    headers = NO_STORE | {"X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(who, request.path_params["token"]), media_type="text/event-stream", headers=headers
    )


async def _stream(who: Follower, token: str) -> AsyncIterator[str]:
    store = feedback()
    lesson = await run_in_threadpool(lessons.find_lesson, store, who.lesson_id)
    live = hub.live(who.lesson_id, None if lesson is None else lesson.pointer)
    yield "retry: 100\n\n"
    if who.role == "learner":
        hub.arrive(who.lesson_id, who.learner_id)
    try:
        started = time.monotonic()
        asked, changes, pointed, sent = -math.inf, -1, -1, None
        while time.monotonic() - started < STREAM_SECONDS:
            if live.changes != changes or time.monotonic() - asked > STORE_SECONDS:
                changes, asked = live.changes, time.monotonic()
                try:
                    if await run_in_threadpool(lessons.expire, store, who.lesson_id):
                        hub.touch(who.lesson_id)
                    now = await run_in_threadpool(snapshot, store, who, token)
                except StoreError as error:
                    now = {"problem": str(error)}
                if now != sent:
                    sent = now
                    yield _event("state", {"now": int(time.time() * 1000), "lesson": now})
            if live.pointed != pointed:
                pointed = live.pointed
                yield _event("pointer", live.pointer)
            await asyncio.sleep(LOOK_SECONDS)
        yield ": the next stream follows\n\n"
    finally:
        if who.role == "learner":
            hub.leave(who.lesson_id, who.learner_id)


async def act(request: Request) -> Response:
    """What a follower does: a learner ``mark``, ``remove``, ``commit``; a teacher ``point``, ``next``, …"""
    try:
        who = _who(request)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES:
                raise Refused(f"The request is longer than allowed; expected at most {BODY_BYTES} bytes.")
        content = json.loads(body or b"{}")
        if not isinstance(content, dict):
            raise Refused("The request is no JSON object.")
        actions = ACTIONS.get((who.role, request.path_params["action"]))
        if actions is None:
            raise Refused(f"A {who.role} can't {request.path_params['action']}.")
        answer = await run_in_threadpool(actions, who, content)
    except Refused as error:
        return _error(error.status, str(error))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        return _error(400, f"The request can't be read: {error}")
    except StoreError as error:
        return _error(409, str(error))
    return JSONResponse(answer, headers=NO_STORE)


def _mark(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    x, y, z = (float(value) for value in content["mm"])
    if not all(math.isfinite(value) and abs(value) < 1000 for value in (x, y, z)):
        raise Refused(f"Position {content['mm']}; expected three numbers in mm.")
    given = MarkInput(
        id=str(content["id"]),
        learner_id=who.learner_id,
        case_index=int(content["case"]),
        x_mm=x,
        y_mm=y,
        z_mm=z,
        finding_type=str(content.get("type", ""))[:60],
        note=str(content.get("note", "")),
    )
    before = content.get("before")
    learners.add_mark(feedback(), given, supersedes=None if before is None else str(before))
    return _marks(who, given.case_index)


def _remove(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    index = int(content["case"])
    learners.remove_mark(
        feedback(),
        id=str(content["id"]),
        mark_id=str(content["mark"]),
        learner_id=who.learner_id,
        case_index=index,
    )
    return _marks(who, index)


def _marks(who: Follower, index: int) -> dict[str, Any]:
    mine = learners.marks(feedback(), who.lesson_id, learner_id=who.learner_id, case_index=index)
    return {"case": index, "marks": [own_mark(one) for one in mine]}


def _commit(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    learners.commit(
        feedback(),
        learner_id=who.learner_id,
        case_index=int(content["case"]),
        active_seconds=float(content.get("seconds", 0)),
        automatic=content.get("automatic") is True,
    )
    hub.touch(who.lesson_id)
    return {"committed": True}


def _point(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    pointer = None
    if content.get("on"):
        plane, points = int(content["plane"]), [content["mm"], content["cross"]]
        mm, cross = ([float(value) for value in point] for point in points)
        pointer = {"plane": plane, "mm": mm, "cross": cross}
        known = len(mm) == 3 and len(cross) == 3 and plane in (0, 1, 2)
        if not known or not all(isfinite(value) for value in (*mm, *cross)):
            raise Refused("A pointer has three mm, three mm of the crosshair, and plane 0, 1 or 2.")
    before = hub.live(who.lesson_id).pointer
    hub.aim(who.lesson_id, pointer)
    # Only its coming and going goes into the store: a movement is worth no write to disk.
    if (before is None) != (pointer is None):
        lessons.point(feedback(), who.lesson_id, pointer)
    return {}


def _show(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    case, mm = int(content["case"]), [float(value) for value in content["mm"]]
    if len(mm) != 3 or not all(isfinite(value) for value in mm):
        raise Refused(f"Position {content['mm']}; expected three numbers in mm.")
    lesson = lessons.find_lesson(feedback(), who.lesson_id)
    if lesson is None or lesson.case_index != case or not lesson.revealed:
        raise Refused("The answer is not shown yet.")
    hub.send_to(who.lesson_id, {"id": str(content["id"]), "case": case, "mm": mm})
    return {}


def _next(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    leave_out = content.get("leaveOut") is True
    lessons.advance(feedback(), who.lesson_id, after=int(content["case"]), leave_out=leave_out)
    hub.aim(who.lesson_id, None)
    return _changed(who)


def _reveal(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    lessons.reveal(feedback(), who.lesson_id, index=int(content["case"]))
    return _changed(who)


def _open(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    lessons.open_lesson(feedback(), who.lesson_id)
    return _changed(who)


def _close(who: Follower, content: dict[str, Any]) -> dict[str, Any]:
    lessons.close_lesson(feedback(), who.lesson_id)
    hub.aim(who.lesson_id, None)
    return _changed(who)


def _changed(who: Follower) -> dict[str, Any]:
    hub.touch(who.lesson_id)
    return {}


ACTIONS = {
    ("learner", "mark"): _mark,
    ("learner", "remove"): _remove,
    ("learner", "commit"): _commit,
    ("teacher", "point"): _point,
    ("teacher", "show"): _show,
    ("teacher", "next"): _next,
    ("teacher", "reveal"): _reveal,
    ("teacher", "open"): _open,
    ("teacher", "close"): _close,
}


def volume(request: Request) -> Response:
    """The scan at hand; once its answer is shown also the lesions' label map and the model's z map.

    Whoever holds the token gets no more by it than ``snapshot`` tells them, whatever address they ask.
    """
    try:
        who = _who(request)
        built = _volume(who, request.path_params["what"])
    except Refused as error:
        return _error(error.status, str(error))
    except (StoreError, *DAMAGED):
        return _error(404, "This volume can't be read.")
    if built is None or built.hash[:16] != request.path_params["content"]:
        return _error(404, "This scan has no such volume; reload the page.")
    headers = {"Cache-Control": IMMUTABLE, "ETag": f'"{built.hash}"', "X-Content-Type-Options": "nosniff"}
    return Response(built.data, media_type="application/gzip", headers=headers)


def _volume(who: Follower, what: str) -> Wire | None:
    lesson = lessons.find_lesson(feedback(), who.lesson_id)
    if lesson is None or lesson.case is None or (lesson.state != "open" and who.role == "learner"):
        raise Refused("No scan is shown now.")
    if what == "base":
        found = scan_volume(lesson.case)
        return None if found is None else found[1]
    shows = {"truth": "truth", "z": "model"}
    if what not in shows:
        return None
    held = lesson.case_index in held_back(feedback(), lesson)
    if not lesson.revealed or held or shows[what] not in lesson.reveal:
        raise Refused("The answer is not shown yet.")
    if what == "truth":
        answer = known(lesson, lesson.case_index)
        return None if answer is None else answer.wire
    flags = model_map(lesson.case)
    return None if flags is None else flags[2]


def routes() -> list[Route]:
    """The lessons' routes for ``st.App``."""
    return [
        Route(f"{PREFIX}/lesson/{{token}}/events", events),
        Route(f"{PREFIX}/lesson/{{token}}/{{what}}-{{content}}.nii.gz", volume),
        Route(f"{PREFIX}/lesson/{{token}}/{{action}}", act, methods=["POST"]),
    ]
