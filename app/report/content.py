"""What a report holds: one analysis and map, as one reader read it, and others' answers to a closed scan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.cases import read_cases
from app.facts import label_of
from app.feedback.adjudications import SavedDecision, decisions, final_reads, labels
from app.feedback.blinding import answers_visible
from app.feedback.database import Store
from app.feedback.marks import list_missed
from app.feedback.reads import SavedRead, current_reads
from app.feedback.rows import Missed, SavedReader, SavedVerdict
from app.feedback.serving import current_pass
from app.feedback.store import current_verdicts
from app.feedback.vocabulary import terms
from app.review.table import shown_regions
from app.viewer.volumes import check_files
from core.anomaly.bands import REGION_BANDS
from core.io.derivatives import MAP_NAMES, CasePaths, CaseRecord, MapName, Region, model_slug, read_regions
from core.networks.zoo import ModelError, model_info


class ReportError(ValueError):
    """A report that may not be made, or whose files can't be used; the text is meant for the reader."""


@dataclass(frozen=True)
class Others:
    """What other readers said of a closed scan, under names that hold within this scan only."""

    classes: dict[str, SavedRead]  # by "Reader 1": the read that counts
    verdicts: dict[str, dict[str, SavedVerdict]]  # by region, then by "Reader 1"
    marks: list[tuple[str, Missed]]


@dataclass(frozen=True)
class Content:
    """Everything that one report shows."""

    record: CaseRecord
    paths: CasePaths
    map: MapName
    label: str  # given at upload; empty where none
    regions: list[Region]  # strongest first
    weak: bool  # whether Review listed and coloured the bands of 2–3 SD
    reader: SavedReader
    pass_number: int
    first: SavedRead | None
    second: SavedRead | None
    verdicts: dict[str, SavedVerdict]  # by region
    marks: list[Missed]
    terms: dict[str, str]  # finding types as readers see them
    others: Others | None  # None while the scan is open, or nobody else has read it
    decided: dict[str, SavedDecision]  # adjudicated: by region, and of the scan's class under ""
    card: str  # the model's card; empty where it is not that of this analysis
    card_missing: str  # why there is none

    @property
    def bands(self) -> frozenset[str]:
        """Bands that the pictures colour: those listed, so 2–3 SD only where asked for or judged."""
        listed = {region.band for region in self.regions}
        return frozenset(band for band in REGION_BANDS if self.weak or band != "2-3" or band in listed)

    @property
    def name(self) -> str:
        """File name of the report."""
        return f"{self.record.case_id}_model-{model_slug(self.record.model)}_desc-{self.map}Report.html"


def default_map(record: CaseRecord) -> MapName:
    """The map that Review opens: the fused one where there is one, else the paper's."""
    return "fused" if "fused" in record.bands else "volume"


def may_report(
    store: Store, reader: SavedReader, record: CaseRecord, root: Path, *, unaided: bool
) -> tuple[int, SavedRead | None, SavedRead | None]:
    """The reading under way and its reads, once the reader may see what the model made of the scan.

    The same rule as ``app.review.protocol.revealed``, for callers outside the app too. ``unaided``: whether
    scans are read without flags first.

    Raises
    ------
    ReportError
        Where the first read of the reading under way is not locked.
    """
    number = current_pass(
        store,
        reader_id=reader.id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        there=lambda: {(case.record.case_id, case.record.input_hash) for case in read_cases(root)[0]},
    )
    first, second = current_reads(
        store,
        reader_id=reader.id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        pass_number=number,
    )
    if unaided and first is None:
        raise ReportError(
            f"{record.case_id}: {reader.name} has not locked a first read; the report would show the flags"
        )
    return number, first, second


def gather(
    store: Store,
    reader: SavedReader,
    record: CaseRecord,
    root: Path,
    *,
    models_dir: Path,
    unaided: bool,
    name: MapName | None = None,
    weak: bool = False,
) -> Content:
    """Collect what the report shows to ``reader``.

    Regions: of 3 SD and more, those of 2–3 SD too where ``weak``, and any that the reader has judged.
    ``root``: of the derivatives.

    Raises
    ------
    ReportError
        Where the first read is not locked, or the analysis has no such map.
    DerivativesError
        Where a file is missing or not the one that the analysis wrote.
    StoreError
        Where the database can't be read.
    """
    number, first, second = may_report(store, reader, record, root, unaided=unaided)
    name = default_map(record) if name is None else name
    if name not in record.bands:
        has = ", ".join(one for one in MAP_NAMES if one in record.bands)
        raise ReportError(f"{record.case_id}: no {name} map by {record.model}; it has {has}")
    paths = CasePaths(root, record.subject, record.session)
    check_files(paths, record)
    everything = read_regions(paths.regions(record.model))
    verdicts = current_verdicts(
        store,
        case_id=record.case_id,
        model=record.model,
        case_key=record.key,
        map=name,
        reader_id=reader.id,
        pass_number=number,
    )
    regions = [
        region
        for region in shown_regions(everything, name, weak=True)
        if weak or region.band != "2-3" or region.id in verdicts
    ]
    marks = list_missed(
        store,
        case_id=record.case_id,
        input_hash=record.input_hash,
        reader_id=reader.id,
        pass_number=number,
    )
    others, decided = _others(store, reader, record, name)
    card, missing = _card(models_dir / record.model, record)
    return Content(
        record=record,
        paths=paths,
        map=name,
        label=label_of(record.subject),
        regions=regions,
        weak=weak,
        reader=reader,
        pass_number=number,
        first=first,
        second=second,
        verdicts=verdicts,
        # A mark of the second phase is missed by the map it was made on.
        marks=[
            mark for mark in marks if mark.phase == "first" or (mark.case_key, mark.map) == (record.key, name)
        ],
        terms={term.name: term.label for term in terms(store, retired=True)},
        others=others,
        decided=decided,
        card=card,
        card_missing=missing,
    )


def _others(
    store: Store, reader: SavedReader, record: CaseRecord, name: MapName
) -> tuple[Others | None, dict[str, SavedDecision]]:
    """Others' first passes and what was decided; nothing of either before the scan is closed."""
    answers = answers_visible(store, reader.id, cases=[record.case_id])
    scan = (record.case_id, record.input_hash)
    if scan not in answers.scans:
        return None, {}
    reads = [row for row in answers.reads if (row.case_id, row.input_hash, row.pass_number) == (*scan, 1)]
    final = {row.reader_id: row for row in final_reads(reads).values()}
    names = labels(*scan, final)
    mine = reader.id
    verdicts: dict[str, dict[str, SavedVerdict]] = {}
    for row in answers.verdicts:
        same = (row.case_id, row.case_key, row.map, row.pass_number) == (record.case_id, record.key, name, 1)
        if same and row.reader_id != mine and row.reader_id in names:
            verdicts.setdefault(row.region_id, {})[names[row.reader_id]] = row
    marks = [
        (names[row.reader_id], row)
        for row in answers.marks
        if (row.case_id, row.input_hash, row.pass_number) == (*scan, 1)
        and row.reader_id != mine
        and row.reader_id in names
        and (row.phase == "first" or (row.case_key, row.map) == (record.key, name))
    ]
    classes = {names[id]: row for id, row in final.items() if id != mine}
    found = Others(dict(sorted(classes.items())), verdicts, marks) if classes else None
    return found, _decided(decisions(store, answers).values(), record, name)


def _decided(rows: Iterable[SavedDecision], record: CaseRecord, name: MapName) -> dict[str, SavedDecision]:
    """Decisions on this analysis' regions by region, and on the scan's class under ""."""
    found = {}
    for row in rows:
        if (row.case_id, row.input_hash) != (record.case_id, record.input_hash):
            continue
        if row.subject == "class":
            found[""] = row
        elif (row.case_key, row.map) == (record.key, name):
            found[row.region_id] = row
    return found


def _card(folder: Path, record: CaseRecord) -> tuple[str, str]:
    """The card of the model that made the analysis, or why it is not at hand."""
    try:
        info = model_info(folder)
    except ModelError:
        return "", f"{record.model} is not installed here, so its card is not at hand."
    if info.hash != record.model_hash:
        return "", f"{record.model} has changed since this analysis: its card would be another model's."
    return info.card, "" if info.card != "" else "This model has no card."
