"""The HTTP routes, as ``st.App`` mounts them: signatures, expiry, caching, errors in words."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from itsdangerous import URLSafeTimedSerializer
from starlette.applications import Starlette

from app import routes
from app.cases import address
from app.viewer.volumes import Kind, wire
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord
from tests.casefactory import write_case

MODEL = "vae_8x8_512"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def get(url: str, **headers: str) -> Answer:
    """One request through the routes, without a network."""
    path, _, query = url.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "http_version": "1.1", "scheme": "http", "server": ("test", 80),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(Starlette(routes=routes.routes())(scope, receive, send))  # type: ignore[arg-type]
    fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], fields, b"".join(part.get("body", b"") for part in sent[1:]))


@pytest.fixture
def case(data_dir: Path) -> CaseRecord:
    return write_case(settings().derivatives_dir)


def paths(case: CaseRecord) -> CasePaths:
    return CasePaths(settings().derivatives_dir, case.subject, case.session)


def url(case: CaseRecord, kind: Kind = "base") -> str:
    return routes.volume_url(address(case), kind, wire(paths(case), case.model, kind).hash)


def test_health() -> None:
    answer = get("/fontanelle/health")
    assert answer.status == 200
    assert json.loads(answer.body)["status"] == "ok"


@pytest.mark.parametrize("kind", ["base", "reconstruction", "z-volume", "z-normative"])
def test_a_signed_address_gives_the_announced_bytes(case: CaseRecord, kind: Kind) -> None:
    answer = get(url(case, kind))
    built = wire(paths(case), case.model, kind)
    assert (answer.status, answer.body) == (200, built.data)
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers  # the browser must not unpack what it hashes


def test_known_etag_is_not_sent_again(case: CaseRecord) -> None:
    link = url(case)
    etag = get(link).headers["etag"]
    again = get(link, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")


def test_address_names_no_subject(case: CaseRecord) -> None:
    link = url(case)
    token = link.split("/")[3]
    assert case.subject not in link
    assert routes._serializer().loads(token)[:2] == [address(case), "base"]


def test_address_is_stable_for_the_browser_cache(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes.time, "time", lambda: 1_800_000_000.0)
    first = url(case)
    monkeypatch.setattr(routes.time, "time", lambda: 1_800_000_000.0 + 1700)
    assert url(case) == first
    monkeypatch.setattr(routes.time, "time", lambda: 1_800_000_000.0 + 1900)
    assert url(case) != first


def test_forged_token(case: CaseRecord) -> None:
    forged = URLSafeTimedSerializer("another key", salt="fontanelle.volume").dumps(
        [address(case), "base", "0" * 16]
    )
    answer = get(f"/fontanelle/volume/{forged}/base.nii.gz")
    assert answer.status == 403
    assert "not signed by this server" in answer.error


def test_changed_token(case: CaseRecord) -> None:
    link = url(case)
    token = link.split("/")[3]
    other = token[:8] + ("A" if token[8] != "A" else "B") + token[9:]
    assert get(link.replace(token, other)).status == 403


def test_token_of_one_kind_opens_no_other(case: CaseRecord) -> None:
    answer = get(url(case).replace("base.nii.gz", "z-volume.nii.gz"))
    assert answer.status == 404
    assert "no volume z-volume.nii.gz" in answer.error


def test_expired_token(case: CaseRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    link = url(case)
    monkeypatch.setattr(routes, "TOKEN_SECONDS", -1)
    answer = get(link)
    assert answer.status == 410
    assert answer.error == "this volume's address has expired; reload the page"
    assert answer.headers["cache-control"] == "no-store"


def test_analysis_that_is_gone(case: CaseRecord) -> None:
    answer = get(routes.volume_url("f" * 64, "base", "0" * 64))
    assert answer.status == 404
    assert "no longer on disk" in answer.error


def test_file_that_is_gone_is_named(case: CaseRecord) -> None:
    link = url(case)
    paths(case).acquired.unlink()
    answer = get(link)
    assert answer.status == 404
    assert "desc-acquired_T2w.nii.gz: missing" in answer.error


def test_content_that_changed_is_refused(case: CaseRecord) -> None:
    link = url(case, "z-volume")
    paths(case).z(MODEL, "volume").write_bytes(paths(case).reconstruction(MODEL).read_bytes())
    answer = get(link)
    assert answer.status == 410
    assert "has changed on disk" in answer.error


def test_niivue_comes_from_the_wheel() -> None:
    answer = get(routes.niivue_url())
    assert answer.status == 200
    assert b"niivue" in gzip.decompress(answer.body)[:200]
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


def test_niivue_gone_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    routes.niivue.cache_clear()
    monkeypatch.setattr(routes.importlib.util, "find_spec", lambda name: None)
    answer = get("/fontanelle/niivue.js")
    routes.niivue.cache_clear()
    assert answer.status == 404
    assert "install the nilearn that requirements.txt pins" in answer.error


def test_secret_of_the_settings_signs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTANELLE_SECRET", "shared between two servers")
    settings.cache_clear()
    routes._serializer.cache_clear()
    token = routes.volume_url("k" * 64, "base", "0" * 64).split("/")[3]
    other = URLSafeTimedSerializer("shared between two servers", salt="fontanelle.volume")
    assert other.loads(token) == ["k" * 64, "base", "0" * 16]
    routes._serializer.cache_clear()
    routes._token.cache_clear()


def test_threads_that_start_at_once_sign_alike() -> None:
    """The secret was drawn at first use: two threads drew one each, and a volume's address was refused."""
    routes._serializer.cache_clear()
    first = routes._serializer().dumps("x")
    routes._serializer.cache_clear()  # as the other thread, which found nothing cached either
    assert routes._serializer().loads(first) == "x"
