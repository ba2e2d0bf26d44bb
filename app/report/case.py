"""One case as one HTML page: opens offline, runs no script, prints on A4."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from app.digits import digits
from app.report import sections
from app.report.content import Content
from app.report.planes import data_address, head
from app.report.wording import (
    CONVENTION,
    DISCLAIMER,
    MAPS,
    SYNTHETIC,
    esc,
    facts,
    moment,
    number,
    percentile,
    table,
)
from app.review.classes import SOURCE
from core import __version__
from core.anomaly.regions import floor_words

STYLE = Path(__file__).with_name("report.css")
# Of a model card: what a reader of the report needs; settings and citation stay on the card.
CARD_SECTIONS = ("", "Training", "Calibration", "Metrics", "Limits")
CARD_DETAILS = ("Settings:", "Inputs:", "Network:")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """A picture that the card itself holds; of any other its words: an opened report fetches nothing."""
    if str(tokens[at].attrGet("src")).startswith("data:image/"):
        return self.image(tokens, at, options, env)
    return esc(self.renderInlineAsText(tokens[at].children, options, env))


MARKDOWN.add_render_rule("image", _image)


def case_page(content: Content, made: datetime) -> str:
    """The report as HTML. ``made``: when, with its time zone.

    Raises
    ------
    VolumeMissing
        Where an image of the analysis is missing or unreadable.
    """
    brain = head(content.paths, content.record.model, content.map, content.bands)
    name = f"{content.record.case_id}, {content.record.model}, {content.map} map"
    parts = [
        _top(content, made),
        sections.reads(content),
        sections.regions(content, brain),
        sections.marks(content, brain),
        sections.others(content),
        sections.scores(content),
        _preparation(content),
        _model(content),
        _provenance(content),
        f"<footer><p class=soft>{esc(DISCLAIMER)}</p><p class=soft>{esc(SOURCE)}</p></footer>",
    ]
    return _document(f"Fontanelle report: {name}", "".join(parts), _edges(name, content.record.synthetic))


def _edges(name: str, synthetic: bool) -> str:
    """What stands on every printed sheet, since sheets get parted: the case, and SYNTHETIC where so."""
    plain = re.sub(r"[^\w ,.-]", "", name)
    mark = "SYNTHETIC" if synthetic else ""
    font = "font: 8pt system-ui, sans-serif; color: #4c5a60;"
    top, bottom = f"content: '{plain}'; {font}", f"content: '{mark}'; {font}"
    return f"@page {{ @top-left {{ {top} }} @bottom-center {{ {bottom} }} }}"


def refusal(why: str) -> str:
    """A page in the report's place that says why there is none."""
    return _document("Fontanelle: no report", f"<h1>No report was made</h1><p class=warn>{esc(why)}</p>")


def _document(title: str, body: str, more_style: str = "") -> str:
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{esc(title)}</title><style>{STYLE.read_text()}{more_style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _top(content: Content, made: datetime) -> str:
    record = content.record
    count: Counter[str] = Counter(row.verdict for row in content.verdicts.values())
    judged = f"{len(content.verdicts)} judged" + "".join(
        f", {count[value]} {words}"
        for value, words in (("agree", "agreed"), ("disagree", "disagreed"), ("unsure", "unsure"))
        if count[value]
    )
    mse = record.scores.get("mse")
    repeat = f", reading {content.pass_number} of this scan" if content.pass_number > 1 else ""
    pairs = [
        ("Label", esc(content.label)),
        ("Age at scan", "not known" if record.age_weeks is None else f"{record.age_weeks:.1f} weeks"),
        ("Reader", esc(content.reader.name + repeat)),
        ("Model", esc(record.model)),
        ("Flagged regions", f"{len(content.regions)} ({judged})"),
        ("Findings marked", str(len(content.marks))),
        (
            "Reconstruction MSE",
            ""
            if mse is None
            else f"{digits(mse)}, "
            + esc(percentile(record.scores.get("mse_percentile"), record.scores.get("validation_n"))),
        ),
        ("Report made", esc(moment(made.isoformat()))),
        ("Software", f"Fontanelle {esc(__version__)}"),
    ]
    warning = f"<p class=warn role=note><b>{esc(SYNTHETIC)}</b></p>" if record.synthetic else ""
    return (
        f"<p class=over>Fontanelle · report on one case</p><h1>{esc(record.case_id)}</h1>{warning}"
        f"<p class=warn role=note>{esc(DISCLAIMER)}</p>"
        + facts(pairs)
        + f"<p class=soft>{_thresholds(content)}</p><p class=soft>{esc(CONVENTION)}</p>"
    )


def _thresholds(content: Content) -> str:
    settings = content.record.settings
    floor = settings.get("floor_mm3")
    text = f"Map: {MAPS[content.map]}. Bands: |z| of 2–3, 3–4, and 4 and more."
    if floor is not None:
        size = floor_words(float(floor), (content.map,))
        text += (
            f" Regions: connected voxels of one sign at 2 and more, {size};"
            " a region's band is the highest at which it keeps that size, so its peak may lie above it."
        )
    operating = settings.get("operating_point", {}).get(content.map)
    if operating is not None:
        text += f" Operating point: {operating}."
    return esc(text)


def _preparation(content: Content) -> str:
    """The picture of the preparation that the analysis rests on."""
    record = content.record
    cube = record.settings.get("prepare", {}).get("cube")
    path = None if cube is None else content.paths.qc(int(cube))
    line = (
        f"<p>Brain mask: {esc(record.mask_source)}. Overlap with the reference after registration: "
        f"{number(record.overlap, 2)} (Dice). Letters in its picture say where right, left, "
        "front (A) and back (P) are.</p>"
    )
    if path is None or not path.is_file():
        return f"<h2 id=prepared>Preparation</h2>{line}<p class=soft>The picture of it is missing.</p>"
    source = data_address(path.read_bytes())
    return (
        f"<section class=qc><h2 id=prepared>Preparation</h2>{line}<img src='{source}' alt='Slices of the "
        "scan with the outline of its brain mask, and of the scan on the reference grid'></section>"
    )


def excerpt(card: str) -> str:
    """What a reader needs of a model card, as HTML; tags in the card are text."""
    kept = []
    for heading, body in _by_heading(card):
        if heading in CARD_SECTIONS:
            blocks = [block for block in body.split("\n\n") if not block.startswith(CARD_DETAILS)]
            kept.append((f"### {heading}\n" if heading else "") + "\n\n".join(blocks))
    return str(MARKDOWN.render("\n\n".join(kept)))


def _by_heading(card: str) -> list[tuple[str, str]]:
    """Parts of a card by its second-level headings; the first, unnamed, without the title."""
    first, *rest = re.split(r"^## +", card, flags=re.MULTILINE)
    found = [("", re.sub(r"^# .*\n", "", first))]
    for part in rest:
        heading, _, body = part.partition("\n")
        found.append((heading.strip(), body))
    return found


def _model(content: Content) -> str:
    name = esc(content.record.model)
    body = excerpt(content.card) if content.card else f"<p>{esc(content.card_missing)}</p>"
    return f"<h2 id=model>The model: {name}</h2><div class=model>{body}</div>"


def _provenance(content: Content) -> str:
    record, model = content.record, content.record.model
    files = (
        content.paths.acquired,
        content.paths.mask,
        content.paths.z(model, content.map),
        content.paths.regions(model),
    )
    hashes = [
        ("Scan", record.input_hash),
        (f"Model {model}", record.model_hash),
        ("Analysis (scan, mask, age, model, settings, code)", record.key),
        *((path.name, record.files[path.name]) for path in files if path.name in record.files),
    ]
    versions = ", ".join(f"{name} {number_}" for name, number_ in sorted(record.versions.items()))
    return (
        "<h2 id=provenance>What this rests on</h2>"
        + table(("", "SHA-256"), [[esc(name), f"<code>{esc(value)}</code>"] for name, value in hashes])
        + f"<p class=soft>Analysed with {esc(versions)}.</p>"
    )
