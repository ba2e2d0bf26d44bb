"""Right side of Review: region table, verdict, missed findings; and the tabs below the viewer."""

from __future__ import annotations

import streamlit as st

from app.feedback.store import SavedVerdict, StoreError, VerdictValue
from app.review import preparation, reading, said
from app.review.figure import overlay_figure
from app.review.reading import Open
from app.review.slices import PLANES, decode, slice_png
from app.review.table import describe, expectation, nothing_listed, region_frame, score_lines
from app.viewer.component import PALETTES
from app.viewer.volumes import VolumeMissing, wire
from core.io.derivatives import CasePaths

INK = dict(zip(("▼ 4+", "▼ 3–4", "▼ 2–3", "▲ 2–3", "▲ 3–4", "▲ 4+"), PALETTES["paper"], strict=True))


def regions_panel(now: Open, weak: bool, ready: bool, drawn_here: bool, elsewhere: str) -> None:
    """Table, verdict and missed findings of the open case; ``elsewhere``, a line on the map not shown, or "".

    The viewer hears the verdict keys itself, so that a key always means the region on screen; only with
    slices drawn by the server (``drawn_here``) they are Streamlit's.
    """
    try:
        answers, missed = said.verdicts(now), said.missed(now)
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}")
        return
    read = sum(region.id in answers for region in now.regions)
    count, include = st.columns([0.58, 0.42], vertical_alignment="center")
    count.markdown(f"**{read} of {len(now.regions)} regions read**")
    include.toggle("Band 2–3 too", key=reading.WEAK, on_change=reading.forget_row)
    st.caption(expectation(now.record, now.name, weak))
    if elsewhere != "":
        st.caption(f"{elsewhere}." if drawn_here else f"{elsewhere}: press m.")
    if not now.regions:
        st.info(nothing_listed(now.record, weak), icon=":material/check:")
    else:
        _table(now, answers)
        _verdict(now, ready, answers, drawn_here)
    _said(drawn_here)
    st.markdown(
        f"**Missed here** :gray[({len(missed)})]",
        help="Shift-click in the viewer marks a finding that no flag covers.",
    )
    for finding in missed:
        where, note, remove = st.columns([0.36, 0.5, 0.14], vertical_alignment="center")
        where.caption(f"{finding.x_mm:.0f}, {finding.y_mm:.0f}, {finding.z_mm:.0f} mm".replace("-", "−"))
        note.text_input(
            "Note on missed finding",
            finding.note,
            key=f"missed_note_{finding.id}",
            placeholder="What is it?",
            label_visibility="collapsed",
            on_change=said.renote_missed,
            args=(finding,),
        )
        remove.button(
            "",
            icon=":material/close:",
            key=f"missed_remove_{finding.id}",
            help="Take back",
            type="tertiary",
            on_click=said.remove_missed,
            args=(finding,),
        )
    if not missed:
        st.caption("Shift-click in the viewer where the model overlooked something.")


def _table(now: Open, answers: dict[str, SavedVerdict]) -> None:
    """One row a region; a click anywhere in it moves the viewer there."""
    selected = st.session_state.get("reading_region")
    rows = [region.id for region in now.regions]
    style = region_frame(now.regions, answers).style
    style = style.map(lambda band: f"color: {INK[band]}; font-weight: 600", subset=["Band"])
    if selected in rows:
        style = style.apply(
            lambda row: ["background-color: #d5ede8"] * len(row),
            axis=1,
            subset=([rows.index(selected)], slice(None)),
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        style,
        key=reading.TABLE,
        on_select=reading.on_row,
        selection_mode="single-cell",
        hide_index=True,
        row_height=28,
        height=min(38 + 28 * 9, 38 + 28 * len(rows)),
        column_config={
            "": st.column_config.TextColumn(width=32, help="Your verdict"),
            "Band": st.column_config.TextColumn(width=58, help="▲ brighter, ▼ darker than expected, in SD"),
            "Side": st.column_config.TextColumn(width=62),
            "mm³": number(width=58, format="%.0f"),
            "Peak": number(width=54, format="%+.1f", help="Signed z of the peak"),
            "Mean": number(width=54, format="%+.1f", help="Signed mean z"),
            "Slice": number(width=46, format="%d", help="Axial slice of largest extent"),
        },
    )


def _verdict(now: Open, ready: bool, answers: dict[str, SavedVerdict], drawn_here: bool) -> None:
    region = reading.selected_region()
    said.form_id()
    if not ready:
        st.markdown(":gray[Verdicts wait until the viewer shows this case.]")
    else:
        st.markdown(
            f"**{describe(region)}**" if region else ":gray[Select a region: click a row, or press n.]"
        )
    standing = answers.get(region.id) if region is not None else None
    choices: tuple[tuple[str, str, VerdictValue], ...] = (
        ("Agree", "a", "agree"),
        ("Disagree", "d", "disagree"),
        ("Unsure", "s", "unsure"),
    )
    for column, (label, key, verdict) in zip(st.columns(3, gap="small"), choices, strict=True):
        column.button(
            label if drawn_here else f"{label} ({key.upper()})",
            key=f"verdict_{verdict}",
            on_click=said.save,
            args=(verdict, region.id if region is not None else ""),
            disabled=region is None or not ready,
            shortcut=key if drawn_here else None,
            type="primary" if standing is not None and standing.verdict == verdict else "secondary",
            width="stretch",
        )
    if region is not None:
        key = said.note_key(now, region)
        if key not in st.session_state:
            st.session_state[key] = said.note_of(now, region, answers.get(region.id))
        st.text_input(
            "Note",
            key=key,
            placeholder="Note, saved with the verdict",
            label_visibility="collapsed",
            max_chars=2000,
            on_change=said.on_note,
        )


def _said(drawn_here: bool) -> None:
    """Last outcome and undo, in a line that is always there, so that nothing moves when it changes."""
    text, failed = st.session_state.get("reading_said", ("", False))
    line, back = st.columns([0.7, 0.3], vertical_alignment="center")
    line.markdown(f":red[{text}]" if failed else f":green[✓ {text}]" if text else "&nbsp;")
    back.button(
        "Undo" if drawn_here else "Undo (U)",
        key="verdict_undo",
        on_click=said.undo_here,
        shortcut="u" if drawn_here else None,
        type="tertiary",
        width="stretch",
    )


def drawn_slices(now: Open, paths: CasePaths, weak: bool) -> None:
    """Slices drawn by the server, with a slider for the slice."""
    plane = st.segmented_control(
        "Plane", PLANES, default="axial", key="drawn_plane", label_visibility="collapsed"
    )
    plane = plane or "axial"
    count = decode(wire(paths, now.record.model, "base")).shape[2 - PLANES.index(plane)]
    region = reading.selected_region()
    start = region.slice_axial if region is not None and plane == "axial" else count // 2
    index = st.slider("Slice", 1, count, start + 1, key=f"drawn_{plane}_{region.id if region else ''}")
    bands = frozenset({"2-3", "3-4", "4+"} if weak else {"3-4", "4+"})
    st.image(slice_png(paths, now.record.model, now.name, plane, index - 1, bands, 520))
    sides = "image left is posterior" if plane == "sagittal" else "radiological: image right is patient left"
    mark = " · SYNTHETIC" if now.record.synthetic else ""
    st.caption(f"{now.record.case_id} · {now.record.model} · {now.name} z · {sides}{mark}")


def below(now: Open, paths: CasePaths) -> None:
    """Tabs: scores, the paper's figure, downloads; each is worked out only when opened."""
    scores, figure, prepared, files = st.tabs(
        ["Scores", "Figure as in the paper", "Preparation", "Downloads"], key="review_tabs", on_change="rerun"
    )
    if scores.open:
        with scores:
            _scores(now)
    if figure.open:
        with figure:
            try:
                st.plotly_chart(overlay_figure(now.record, paths, now.name), theme=None, key="overlay_figure")
            except VolumeMissing as error:
                st.error(str(error))
    if prepared.open:
        with prepared:
            preparation.show(now.record, paths)
    if files.open:
        with files:
            _downloads(now, paths)


def _scores(now: Open) -> None:
    lines, bands = st.columns([0.4, 0.6])
    # Steps named prepare_… are parts of "prepare".
    seconds = sum(took for step, took in now.record.times.items() if not step.startswith("prepare_"))
    with lines:
        for line in score_lines(now.record):
            st.markdown(line)
        st.caption(
            f"Brain mask: {now.record.mask_source}. Overlap with the reference after registration: "
            f"{now.record.overlap:.2f} (Dice). Analysed in {seconds:.1f} s."
        )
    rows = now.record.bands.get(now.name, [])
    bands.dataframe(
        {
            "Band (SD)": [row.band.replace("-", "−").replace("..", " to ") for row in rows],
            "% of brain voxels": [row.percent for row in rows],
            "2D clusters": [row.clusters for row in rows],
            "Mean cluster (voxels)": [row.mean_cluster_size for row in rows],
        },
        hide_index=True,
        row_height=28,
        column_config={
            "% of brain voxels": st.column_config.NumberColumn(format="%.2f"),
            "Mean cluster (voxels)": st.column_config.NumberColumn(format="%.1f"),
        },
    )


def _downloads(now: Open, paths: CasePaths) -> None:
    model = now.record.model
    files = {
        f"z map ({now.name}), NIfTI": paths.z(model, now.name),
        "Reconstruction, NIfTI": paths.reconstruction(model),
        "Regions, TSV": paths.regions(model),
        "Case record, JSON": paths.case_json(model),
    }
    for label, path in files.items():
        if path.is_file():
            st.download_button(
                label,
                path.read_bytes,
                path.name,
                key=f"download_{path.name}",
                icon=":material/download:",
                on_click="ignore",
            )
        else:
            st.caption(f"{label}: {path.name} is missing; analyse the scan again.")
