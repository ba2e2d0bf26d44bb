"""Entry with the volume routes: ``python -m streamlit run app/server.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

HERE = Path(__file__).resolve().parent
# Streamlit puts only this folder on the path; `app` and `core` lie one above.
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from app.routes import routes  # noqa: E402
from app.teach.web import routes as lesson_routes  # noqa: E402

# A folder named pages beside the entry makes Streamlit run a page without app/main.py until main.py has run
# once: a reload of Review after a restart would come first. st.navigation sets the same flag.
PagesManager.uses_pages_directory = False
app = st.App(HERE / "main.py", routes=[*routes(), *lesson_routes()])
