"""Entry with the volume routes: ``python -m streamlit run app/server.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
# Streamlit puts only this folder on the path; `app` and `core` lie one above.
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from app.routes import routes  # noqa: E402

app = st.App(HERE / "main.py", routes=routes())
