"""About: what Fontanelle is and is not, its method's source, its models and data."""

from __future__ import annotations

import importlib.metadata

import streamlit as st

from core import __version__
from core.config import settings
from core.networks.zoo import ModelError, ModelInfo, list_models

PAPER = (
    "Raad JD, Chinnam RB, Arslanturk S, Tan S, Jeong J-W, Mody S. Unsupervised abnormality detection in "
    "neonatal MRI brain scans using deep learning. *Scientific Reports* 13 (2023). "
    "[doi:10.1038/s41598-023-38430-0](https://doi.org/10.1038/s41598-023-38430-0)"
)
PACKAGES = ("torch", "streamlit", "nibabel", "antspyx", "nilearn", "niivue-streamlit", "sqlalchemy", "numpy")


def version(package: str) -> str:
    """Installed version, without importing the package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def models() -> list[ModelInfo]:
    """Model folders; a broken one is named on the page and hides the list."""
    try:
        return list_models(settings().models_dir)
    except ModelError as error:
        st.error(str(error), icon=":material/error:")
        return []


def model_card(info: ModelInfo) -> None:
    """One model's card and hash."""
    data = "synthetic data" if info.synthetic else "data named in its card"
    with st.expander(f"{info.name} · {info.config.cube}³ · trained on {data}"):
        st.caption(f"SHA-256 {info.hash[:16]}…")
        st.markdown(info.card if info.card != "" else "This model has no card.")


def draw() -> None:
    """The page."""
    st.title("About Fontanelle", anchor=False)
    st.warning(
        "Fontanelle must not be used to diagnose, treat or triage anyone.",
        icon=":material/warning:",
    )
    what, bounds = st.columns(2, gap="large")
    what.subheader("What it is", anchor=False)
    what.markdown(
        "Networks that have only seen normal newborn brains rebuild a T2-weighted scan. Where the scan "
        "differs from what they expect, the residual is large; it is shown in bands of standard deviations, "
        "reds brighter than expected, blues darker. A reader judges each flagged region, and the answers are "
        "kept."
    )
    bounds.subheader("What it is not", anchor=False)
    bounds.markdown(
        "- Not a detector with known sensitivity on patients: nothing here was validated clinically.\n"
        "- Not complete: a region without a flag can be abnormal. Use *missed here* in Review.\n"
        "- Not specific: normal scans get flags too. Review says how many."
    )
    st.subheader("Method", anchor=False)
    st.markdown(PAPER)
    st.subheader("Data", anchor=False)
    st.markdown(
        "The cohort that comes with Fontanelle is **synthetic**: anatomy from the ICBM152 tissue maps, "
        "scaled, deformed and painted with newborn T2 contrast. No newborn's scan is shipped. The shipped "
        "models are trained on it and know no real newborn: with your own scans their flags say little until "
        "you train on normal scans of your own scanner. Upload de-identified data only; files stay on this "
        "server."
    )
    st.subheader("Models", anchor=False)
    found = models()
    if not found:
        st.info("There is no model yet. Train one with `python -m core train`; see `models/README.md`.")
    for info in found:
        model_card(info)
    st.subheader("Versions and licence", anchor=False)
    st.markdown(f"Fontanelle {__version__}, Apache License 2.0. Viewer: NiiVue (BSD-2).")
    st.caption(" · ".join(f"{name} {version(name)}" for name in PACKAGES))


draw()
