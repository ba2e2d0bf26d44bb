"""The reading viewer as a Streamlit component: what Python tells the browser, and what it hears back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from math import dist, pi
from pathlib import Path
from typing import Any

import streamlit as st

from app.viewer.volumes import MAP_KINDS
from core import __version__
from core.anomaly.palette import PALETTE_NAMES, PALETTES
from core.io.derivatives import Region

HERE = Path(__file__).resolve().parent
# Files of the reading viewer, in order.
SCRIPTS = (
    "base.js",
    "widgets.js",
    "tiles.js",
    "contours.js",
    "marks.js",
    "ruler.js",
    "png.js",
    "presence.js",
    "views.js",
    "controls.js",
    "actions.js",
    "remember.js",
    "input.js",
    "viewer.js",
)
# Words on the z maps, by name; a map without any is called after its name.
MAP_NAMED = {"volume": "Volume z", "normative": "Normative z", "fused": "Fused z"}
MAP_TITLES = {
    "volume": "z within this volume, as in the paper",
    "normative": "z against the normals of this model",
    "fused": "Fused z (restoration joined with normals)",
}
# All that the browser gets of an unaided read.
BLIND_KINDS = ("base", "mask")
BAND_LABELS = {"2-3": "2–3", "3-4": "3–4", "4+": "4+"}


@dataclass(frozen=True)
class Volume:
    """Where the browser gets one volume, and the sha256 of the bytes that it must find there."""

    url: str
    hash: str


@dataclass(frozen=True)
class Mark:
    """A flagged region as the viewer knows it; positions in the scan's RAS+ mm."""

    id: str
    sign: int
    mm: tuple[float, float, float]  # peak
    centre: tuple[float, float, float]  # of the ring
    radius: float  # mm, of a sphere of the region's volume
    z: float  # signed, of the peak: as the region's row has it, where the viewer's own map is coarser


@dataclass(frozen=True)
class Spot:
    """A finding that a reader marked as missed: a sphere around ``mm``, RAS+, radius in mm.

    ``label`` stands beside it; never a name where names are hidden.
    """

    mm: tuple[float, float, float]
    radius: float
    label: str = ""


@dataclass(frozen=True)
class Scene:
    """Everything that the viewer shows of one case.

    blind
        The unaided read. While true the browser gets the scan and its mask only: ``payload`` leaves out
        reconstruction, z maps, regions, selection and colours, so that nothing can be seen early, not even
        in the network panel. Marks by Shift-click work. Once false, the rest is fetched and drawn while scan,
        window, position and view stay as they are. ``loaded`` then has the hashes of ``visible(…)``: hold
        those against it.
    phase
        Name of the read that active seconds count for, as "unaided" or "aided"; "" counts nothing. A second
        counts while the tab is visible and the reader has moved, clicked or typed within 30 s. Reported as
        ``active``, see ``viewer``.
    look
        The question that is looked at, for ``looking``: nothing is answered, marked or counted; keys act with
        the pointer over the viewer only, without those that the page may have (n, p, 0). Another question
        moves to its ``jump`` and shows its ``map``, with colours where a region is ``selected``. "" is a
        viewer to read with.
    """

    address: str  # of the analysis: changes with case, model and content
    case: str
    model: str
    synthetic: bool
    stored: str  # axis codes of the scan's file, for example "LAS"
    niivue: str  # address of NiiVue's script
    volumes: dict[str, Volume]  # by kind; "base" is required
    map: str  # z map that is read: shown when the case opens
    weak: bool  # whether the table lists the regions of 2–3 SD
    regions: list[Mark]
    selected: str | None = None
    pick: int = 0  # number of the selection in the viewer that ``selected`` takes into account
    jump: dict[str, Any] | None = None  # {"mm": (x, y, z), "nonce": changes with each jump}
    missed: tuple[Spot, ...] = ()
    marked: tuple[str, ...] = ()  # ids of the marks told as ``missed`` that need not be told again
    threshold: str = ""  # what makes a region of flagged voxels, in words, for the picture
    blind: bool = False
    phase: str = ""
    health: str = ""  # address that answers while the server does; "" watches none
    heard: dict[str, Any] | bool = (
        True  # what Python knows to be on screen, for the viewer to mend; True: no matter
    )
    look: str = ""


def visible(kinds: Iterable[str], blind: bool) -> list[str]:
    """Kinds of volume that the viewer gets of ``kinds``: the scan and its mask only while ``blind``."""
    return [kind for kind in kinds if not blind or kind in BLIND_KINDS]


def mark(region: Region) -> Mark:
    """The viewer's view of a region. The centre is its centroid, or its peak where that lies far from it.

    The centroid of a curved region can lie outside it: a ring there would enclose nothing flagged.
    """
    peak = (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm)
    centroid = (region.x_mm, region.y_mm, region.z_mm)
    radius = (3 * region.volume_mm3 / (4 * pi)) ** (1 / 3)
    return Mark(
        id=region.id,
        sign=region.sign,
        mm=peak,
        centre=peak if dist(centroid, peak) > radius else centroid,
        radius=radius,
        z=region.peak_z,
    )


def payload(scene: Scene) -> dict[str, Any]:
    """``scene`` as the JSON that viewer.js reads; nothing of the model's findings while it is blind."""
    sent = asdict(scene)
    sent["volumes"] = {kind: sent["volumes"][kind] for kind in visible(scene.volumes, scene.blind)}
    sent |= {"version": __version__, "maps": _maps(sent["volumes"]), "palettes": {}, "paletteNames": {}}
    if scene.blind:
        return sent | {
            "regions": [],
            "selected": None,
            "jump": None,
            "map": "",
            "weak": False,
            "threshold": "",
        }
    return sent | {
        "palettes": {name: list(colors) for name, colors in PALETTES.items()},
        "paletteNames": PALETTE_NAMES,
    }


def _maps(volumes: Iterable[str]) -> list[dict[str, str]]:
    """Name, volume, label and title of each z map among ``volumes``, in the order of ``MAP_KINDS``."""
    return [
        {"name": name, "kind": kind, "label": map_label(name), "title": MAP_TITLES.get(name, map_label(name))}
        for name, kind in MAP_KINDS.items()
        if kind in volumes
    ]


def map_label(name: str) -> str:
    """A z map as its button, ``Normative z``."""
    return MAP_NAMED.get(name, f"{name.capitalize()} z")


def script(*names: str | Path) -> str:
    """The files ``names`` of this folder, or paths, joined into one module: no bundler, no imports.

    A component of its own gives ``script("base.js", HERE / "compare.js")`` as ``js``. Only the last file may
    export; all see one another's names.
    """
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "fontanelle_viewer",
        css=(HERE / "viewer.css").read_text(),
        js=script(*SCRIPTS),
    )


def _unheard() -> None:
    """For an event that nobody asked for."""


def looking(scene: Scene, *, key: str, on_unsupported: Callable[[], None]) -> Any:
    """Mount the viewer for looking only, ``scene.look``: of all that ``viewer`` says, ``unsupported`` alone.

    Raises
    ------
    ValueError
        Where the scene says no question, or counts seconds.
    """
    if scene.look == "" or scene.phase != "":
        raise ValueError(
            f"look is {scene.look!r} and phase {scene.phase!r}; expected a question and no phase"
        )
    return _component()(key=key, data=payload(scene), on_unsupported_change=on_unsupported)


def viewer(
    scene: Scene,
    *,
    key: str,
    on_loaded: Callable[[], None],
    on_selected: Callable[[], None],
    on_missed: Callable[[], None],
    on_map: Callable[[], None],
    on_weak: Callable[[], None],
    on_unsupported: Callable[[], None],
    on_active: Callable[[], None] = _unheard,
) -> Any:
    """Mount the viewer. The callbacks find what was said in ``st.session_state[key]``.

    ``loaded`` is ``{"case", "map", "hashes": {kind: sha256}}`` once drawn, and when the map changes;
    ``selected`` ``{"id", "case", "pick"}``;
    ``missed`` ``{"id", "mm", "radius", "case", "blind"}``; ``map`` a map's name; ``weak`` ``{"on"}`` when the
    bands of 2–3 SD come or go; ``unsupported`` true without WebGL2.

    ``active`` is ``{"address", "phase", "run", "seconds"}``: active seconds so far of one phase of one case
    in one ``run`` of the viewer (an id, new with each mount). Seconds of a run only grow, so a report that is
    lost or comes twice does no harm: keep the largest of each run and add the runs up. It comes 10 s after
    the last at the earliest, when the phase or case changes, when the tab is hidden; an
    answer by key brings the newest along.
    """
    return _component()(
        key=key,
        data=payload(scene),
        on_loaded_change=on_loaded,
        on_selected_change=on_selected,
        on_missed_change=on_missed,
        on_map_change=on_map,
        on_weak_change=on_weak,
        on_unsupported_change=on_unsupported,
        on_active_change=on_active,
    )
