"""Pages and what stands around them. Run from the repository: ``python -m streamlit run app/server.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts only this folder on the path; `app` and `core` lie one above.
if str(Path(__file__).resolve().parent.parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import identity, uploads
from core.config import settings

STYLE = """<style>
/* Tables and figures no wider than the eye follows them, lines of text no longer than it finds back from;
   pages that show images take the room that there is. What scrolls goes under the bar, not through it. */
.stAppHeader {height: 2.5rem; min-height: 2.5rem; background: #fff;}
.stMainBlockContainer {max-width: 1500px; padding: 3rem 2.5rem 2rem;}
.stMain :is([data-testid="stMarkdownContainer"], [data-testid="stCaptionContainer"]) :is(p, li) {
  max-width: 85ch;}
/* A command begins on a line of its own rather than break at a hyphen. */
[data-testid="stMarkdownContainer"] :not(pre) > code {display: inline-block; max-width: 100%;}
/* A click beside all controls puts the page itself in focus; its ring would cross the bar at the next key. */
.stMain:focus-visible::before {content: none !important;}
/* Streamlit's own are too faint for WCAG AA. */
[data-testid="stCaptionContainer"] {opacity: .75 !important;}
[data-testid="stCaptionContainer"] code {color: inherit;}
[data-testid="stBaseButton-primary"] kbd {opacity: 1 !important;}
[data-testid="stCode"] .token {color: inherit !important;}
/* A large screen: larger letters, and what has a key that begins with beside_ in two columns. */
@media (min-width: 2000px) {
  html {font-size: 18px;}
  .stMainBlockContainer {max-width: 2120px;}
  [class*="st-key-beside_"] {display: grid; column-gap: 2.5rem; align-items: start;
    grid-template-columns: repeat(auto-fill, minmax(720px, 1fr));}
}
.fontanelle-notice {position: fixed; top: .65rem; left: 0; right: 0; z-index: 1000000; opacity: .65;
  text-align: center; font-size: .8rem; pointer-events: none;}
</style>"""


@st.cache_resource(show_spinner=False)
def start() -> None:
    """Once a process."""
    uploads.sweep(settings().uploads_dir)


start()

st.set_page_config(page_title="Fontanelle", page_icon="🧠", layout="wide")
page = st.navigation(
    [
        st.Page(
            "pages/worklist.py", title="Worklist", icon=":material/list:", url_path="start", default=True
        ),
        # The default page has the empty path; who types /worklist finds it too.
        st.Page("pages/worklist.py", title="Worklist", url_path="worklist", visibility="hidden"),
        st.Page("pages/review.py", title="Review", icon=":material/visibility:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/view_module:"),
        st.Page("pages/upload.py", title="Upload", icon=":material/upload_file:"),
        st.Page("pages/qc.py", title="QC", icon=":material/grid_view:"),
        st.Page("pages/cohort.py", title="Cohort", icon=":material/monitoring:"),
        st.Page("pages/assign.py", title="Assign", icon=":material/assignment_ind:"),
        st.Page("pages/agreement.py", title="Agreement", icon=":material/handshake:"),
        st.Page("pages/adjudicate.py", title="Adjudicate", icon=":material/gavel:"),
        st.Page("pages/teach.py", title="Teaching", icon=":material/school:"),
        st.Page("pages/about.py", title="About", icon=":material/info:"),
    ]
)
st.html(STYLE + identity.STYLE)
# In the empty bar above each page: always in sight, also where the sidebar is closed or the page stops early.
st.html("<div class='fontanelle-notice'>Research software, not a medical device</div>")
identity.badge()
page.run()
