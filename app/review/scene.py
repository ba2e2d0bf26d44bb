"""What is on disk of one analysis, made ready for the viewer."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.cases import address
from app.review.marks import marked, on_missed
from app.review.reading import VIEWER, Open, on_loaded, on_map, on_selected, on_unsupported, on_weak
from app.review.whole import on_active
from app.routes import health_url, niivue_url, volume_url
from app.viewer.component import BLIND_KINDS, Scene, Spot, Volume, mark, viewer
from app.viewer.volumes import (
    MAP_KINDS,
    Kind,
    VolumeMissing,
    Wire,
    check_files,
    kinds,
    remember,
    sources,
    stored_axes,
    wire,
)
from core.anomaly.regions import floor_words
from core.io.derivatives import CasePaths, CaseRecord, MapName

# What the reader has to do without where a volume can't be read.
OFF = {kind: f"The {name} map" for name, kind in MAP_KINDS.items()} | {"reconstruction": "The expected image"}


@dataclass(frozen=True)
class Material:
    """The volumes of one analysis, built, and what is lacking, in words."""

    paths: CasePaths
    stored: str
    volumes: dict[Kind, Wire]
    lacking: list[str]

    @property
    def maps(self) -> list[MapName]:
        """The z maps that can be shown."""
        return [name for name, kind in MAP_KINDS.items() if kind in self.volumes]


def material(paths: CasePaths, record: CaseRecord, blind: bool = False) -> Material:
    """Build the wire volumes. The scan and one z map must be there; the others may lack.

    While the read is ``blind``, the scan and its mask alone.

    Raises
    ------
    VolumeChanged
        Where a file is not the one that the analysis wrote.
    VolumeMissing
        Where the scan, its mask or all z maps can't be read.
    """
    check_files(paths, record)
    volumes: dict[Kind, Wire] = {}
    lacking = []
    for kind in kinds(record):
        if blind and kind not in BLIND_KINDS:
            continue
        try:
            volumes[kind] = wire(paths, record.model, kind)
        except VolumeMissing as error:
            if kind in BLIND_KINDS:
                raise
            lacking.append(f"{OFF[kind]} is off. {error}")
    if not blind and not set(volumes) & set(MAP_KINDS.values()):
        raise VolumeMissing(" ".join(lacking) or "It has no z map; analyse the scan again")
    check_files(paths, record)  # again: an analysis may have replaced one while they were read
    remember(record, paths)
    return Material(paths, stored_axes(sources(paths, record.model, "base")[0]), volumes, lacking)


def threshold(record: CaseRecord) -> str:
    """What makes a region of flagged voxels, in words; "" where the analysis didn't say."""
    floor = record.settings.get("floor_mm3")
    return "" if floor is None else f"regions of {floor_words(floor, tuple(record.bands))}"


def volumes_of(record: CaseRecord, stuff: Material) -> dict[str, Volume]:
    """Where the browser gets each volume of an analysis, by kind."""
    where = address(record)
    return {
        kind: Volume(volume_url(where, kind, built.hash), built.hash) for kind, built in stuff.volumes.items()
    }


def mount_viewer(now: Open, stuff: Material, weak: bool, missed: list[Spot]) -> None:
    """Put the viewer on the page.

    Raises
    ------
    AssetMissing
        Where NiiVue is not installed.
    """
    region = st.session_state.get("reading_region")
    viewer(
        Scene(
            address=address(now.record),
            case=now.record.case_id,
            model="" if now.blind else now.record.model,
            synthetic=now.record.synthetic,
            stored=stuff.stored,
            niivue=niivue_url(),
            volumes=volumes_of(now.record, stuff),
            map=now.name,
            weak=weak,
            regions=[mark(one) for one in now.regions],
            selected=region,
            pick=st.session_state.get("reading_pick", 0),
            jump=st.session_state.get("reading_jump"),
            missed=tuple(missed),
            marked=marked(),
            threshold=threshold(now.record),
            blind=now.blind,
            phase=now.clock,
            health=health_url(),
            heard=st.session_state.get("reading_loaded") or False,
        ),
        key=VIEWER,
        on_loaded=on_loaded,
        on_selected=on_selected,
        on_missed=on_missed,
        on_map=on_map,
        on_weak=on_weak,
        on_unsupported=on_unsupported,
        on_active=on_active,
    )
