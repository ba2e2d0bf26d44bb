from __future__ import annotations

from tests.app.feedback.conftest import store, url

__all__ = ["store", "url"]
