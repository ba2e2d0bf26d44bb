"""The viewer alone, without the reading loop around it: ``streamlit run tests/browser/viewer_server.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from app.routes import routes  # noqa: E402

app = st.App(Path(__file__).with_name("viewer_page.py"), routes=routes())
