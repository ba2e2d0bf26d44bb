"""HTTP routes beside Streamlit's own: NiiVue, signed volumes, health.

Streamlit's login does not cover them, so a volume's address carries a signed token of limited life. It
holds the analysis' address, never a subject's name.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import secrets
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.viewer.volumes import KINDS, Kind, VolumeMissing, locate, wire
from core import __version__
from core.config import settings

PREFIX = "/fontanelle"
TOKEN_SECONDS = 3600
# Where none is set. Drawn on import, not on first use: two threads at once would each draw one.
DRAWN_SECRET = secrets.token_hex(32)
IMMUTABLE = "private, max-age=31536000, immutable"


class AssetMissing(RuntimeError):
    """NiiVue's browser build is not where the pinned nilearn has it."""


@dataclass
class _Served:
    """Whether this process serves the routes; only ``app/server.py`` makes it so."""

    on: bool = False


_served = _Served()


def served() -> bool:
    """True where the volume routes answer in this process; without them Review draws slices itself."""
    return _served.on


@cache
def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings().secret or DRAWN_SECRET, salt="fontanelle.volume")


@lru_cache(maxsize=1024)
def _token(at: str, kind: Kind, content: str, period: int) -> str:
    return str(_serializer().dumps([at, kind, content[:16]]))


def volume_url(at: str, kind: Kind, content: str) -> str:
    """Address of a volume: its analysis' address, kind, and sha256 of the bytes that it must deliver.

    It stays the same for half a token's life, so that reruns of the page find it in the browser's cache.
    """
    token = _token(at, kind, content, int(time.time() // (TOKEN_SECONDS / 2)))
    return f"{PREFIX}/volume/{token}/{kind}.nii.gz"


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers={"Cache-Control": "no-store"})


def volume(request: Request) -> Response:
    """A volume as gzipped NIfTI; 403, 404 and 410 as JSON with an ``error`` in words."""
    try:
        at, kind, content = _serializer().loads(request.path_params["token"], max_age=TOKEN_SECONDS)
    except SignatureExpired:
        return _error(410, "this volume's address has expired; reload the page")
    except (BadSignature, ValueError):
        return _error(403, "this volume's address is not signed by this server; reload the page")
    if kind not in KINDS or request.path_params["name"] != kind:
        return _error(404, f"no volume {request.path_params['name']}.nii.gz at this address")
    case = locate(settings().derivatives_dir, at)
    if case is None:
        return _error(404, "this analysis is no longer on disk; go back to the worklist")
    try:
        built = wire(*case, kind)
    except VolumeMissing as error:
        return _error(404, str(error))
    if built.hash[:16] != content:
        return _error(410, f"{kind} has changed on disk since the page was drawn; reload the page")
    return _immutable(request, built.data, built.hash, "application/gzip")


def _immutable(request: Request, body: bytes, content: str, media_type: str, encoding: str = "") -> Response:
    headers = {"Cache-Control": IMMUTABLE, "ETag": f'"{content}"', "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if encoding != "":
        headers["Content-Encoding"] = encoding
    return Response(body, media_type=media_type, headers=headers)


@cache
def niivue() -> tuple[bytes, str]:
    """NiiVue's browser build (UMD, BSD-2), gzipped, and its sha256, from nilearn's wheel.

    Raises
    ------
    AssetMissing
        Where nilearn is not installed or no longer carries the file.
    """
    spec = importlib.util.find_spec("nilearn")
    root = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    path = root / "_assets" / "js" / "niivue.umd.js" if root is not None else None
    if path is None or not path.is_file():
        raise AssetMissing(
            f"NiiVue not found at {path or 'nilearn/_assets/js/niivue.umd.js'}; "
            "install the nilearn that requirements.txt pins"
        )
    script = path.read_bytes()
    return gzip.compress(script, compresslevel=6, mtime=0), hashlib.sha256(script).hexdigest()


def niivue_url() -> str:
    """Address of NiiVue's script; it changes with its content."""
    return f"{PREFIX}/niivue.js?v={niivue()[1][:12]}"


def script(request: Request) -> Response:
    """NiiVue's script."""
    try:
        body, content = niivue()
    except AssetMissing as error:
        return _error(404, str(error))
    return _immutable(request, body, content, "text/javascript; charset=utf-8", "gzip")


def health_url() -> str:
    """Address that answers while the process does."""
    return f"{PREFIX}/health"


def health(request: Request) -> JSONResponse:
    """Answers while the process does."""
    return JSONResponse({"status": "ok", "version": __version__}, headers={"Cache-Control": "no-store"})


def routes() -> list[Route]:
    """Fontanelle's routes for ``st.App``; marks them as served."""
    _served.on = True
    return [
        Route(health_url(), health),
        Route(f"{PREFIX}/niivue.js", script),
        Route(f"{PREFIX}/volume/{{token}}/{{name}}.nii.gz", volume),
    ]
