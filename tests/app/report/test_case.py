"""A report holds what its reader may see, all of it, as text: nothing runs, nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.cases import address
from app.feedback.adjudications import decide, disputes
from app.feedback.blinding import answers_visible
from app.feedback.seen import seen_by
from app.feedback.store import SavedReader, Store, new_id, open_store, reader_for
from app.report import __main__ as command
from app.report.case import STYLE, case_page, excerpt, refusal
from app.report.content import Content, ReportError, gather
from app.report.wording import number, seconds
from app.review.table import peak_slices
from core import __version__
from core.config import settings
from core.io.derivatives import CasePaths, CaseRecord, Region, read_regions, write_record, write_regions
from core.io.volume import file_hash
from core.networks.card import model_card
from tests.app.feedback.readings import assign, first, judge, miss, second
from tests.casefactory import write_case

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def record(data_dir: Path) -> CaseRecord:
    return write_case(settings().derivatives_dir)


@pytest.fixture
def store(record: CaseRecord) -> Store:
    return open_store(settings().store_url)


@pytest.fixture
def ada(store: Store) -> SavedReader:
    return reader_for(store, "Ada", "typed")


def regions(record: CaseRecord) -> list[Region]:
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    return [one for one in read_regions(paths.regions(record.model)) if one.map == "volume"]


def content(store: Store, reader: SavedReader, record: CaseRecord, **more: object) -> Content:
    return gather(
        store,
        reader,
        record,
        settings().derivatives_dir,
        models_dir=settings().models_dir,
        **({"unaided": True} | more),  # type: ignore[arg-type]
    )


def page(store: Store, reader: SavedReader, record: CaseRecord) -> str:
    return case_page(content(store, reader, record), MADE)


def words(html: str) -> str:
    """What a page says, without its pictures."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.S)))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    return parser.found


def test_not_before_the_first_read_is_locked(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    with pytest.raises(ReportError, match="has not locked a first read"):
        content(store, ada, record)
    assert content(store, ada, record, unaided=False).first is None, "groups without an unaided read"
    first(store, ada.id, record=record)
    assert content(store, ada, record).first is not None


def test_a_scan_to_be_read_again_is_shut_again(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    assign(store, [ada.id], record.case_id, input_hash=record.input_hash)
    first(store, ada.id, record=record, note="then")
    second(store, ada.id, record=record)
    assign(store, [ada.id], record.case_id, input_hash=record.input_hash, pass_number=2, kind="repeat")
    with pytest.raises(ReportError, match="has not locked"):
        content(store, ada, record)
    first(store, ada.id, record=record, pass_number=2, note="now")
    text = words(page(store, ada, record))
    assert "now" in text
    assert "then" not in text.split("Reads")[1].split("Flagged regions")[0]


def test_numbers_verdicts_and_reads_are_there(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    strong, other = regions(record)
    first(store, ada.id, record=record, classification="1A", seconds=83.4, note="before")
    judge(store, ada.id, "agree", record=record, region_=strong, note="looks like it", finding_type="cyst")
    miss(store, ada.id, record=record, at=(1.0, 2.0, -3.0), radius_mm=4.0, note="here")
    second(store, ada.id, record=record, classification="2A", seconds=20, note="after", unaided=True)
    html = page(store, ada, record)
    text = words(html)
    for said in (
        "SYNTHETIC" if record.synthetic else record.case_id,
        f"Fontanelle {__version__}",
        "2 Jan 2026, 03:04 UTC",
        "1A – before 1 min 23 s",
        "2A – after 20 s",
        "Brighter than expected, 4 SD and more, left",
        "Darker than expected, 3–4 SD, right",
        "Agree: a finding; Cyst. “looks like it”",
        "Not judged.",
        "Missed by the flags: marked after them",
        "1.0, 2.0, −3.0",
        "must not be used to diagnose",
        "the patient's left is on the right".replace("'", "&#x27;"),
        record.input_hash,
        record.model_hash,
        record.key,
        "is not installed here",
    ):
        assert said in text, said
    slices = peak_slices(
        [strong, other], CasePaths(settings().derivatives_dir, record.subject, record.session).acquired
    )
    for one in (strong, other):
        assert f"Slice {slices[one.id]} axial, of the peak" in text, "the slice that Review names"
        assert number(one.peak_z, 2, sign=True) in text
        assert f"{number(one.volume_mm3, 0)} mm³" in text
        assert f"voxel {one.i}, {one.j}, {one.k}" in text
    pictures = [attributes for tag, attributes in tags(html) if tag == "img"]
    assert len([one for one in pictures if "plane through" in (one["alt"] or "")]) == 3 * 3, (
        "2 regions, 1 mark"
    )


def test_nothing_runs_and_nothing_is_fetched(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    first(store, ada.id, record=record, note=EVIL)
    judge(store, ada.id, "unsure", record=record, region_=regions(record)[0], note=f"' onload=x {EVIL}")
    html = case_page(replace(content(store, ada, record), label=EVIL, card=f"# x\n\n{EVIL}\n"), MADE)
    found = tags(html)
    assert {"script", "iframe", "object", "link"} & {tag for tag, _ in found} == set()
    for tag, attributes in found:
        assert not [name for name in attributes if name.startswith("on")], tag
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/png;base64,")
            assert attributes["alt"]
        if tag == "a":
            assert (attributes["href"] or "").startswith("#r")
    assert "url(" not in STYLE.read_text()
    assert html.count("&lt;script&gt;") >= 4


def test_no_flag_is_said(store: Store, ada: SavedReader, data_dir: Path) -> None:
    record = write_case(settings().derivatives_dir, "sub-none")
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    table = paths.regions(record.model)
    write_regions([], table)
    record = replace(record, files=record.files | {table.name: file_hash(table)})
    write_record(record, paths.case_json(record.model))
    first(store, ada.id, record=record)
    text = words(page(store, ada, record))
    assert "This map flags no region" in text
    assert "No flag is no proof that the brain is normal." in text


def test_others_answers_wait_until_the_scan_is_closed(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    ben = reader_for(store, "Ben Secret", "typed")
    assign(store, [ada.id, ben.id], record.case_id, input_hash=record.input_hash)
    first(store, ben.id, record=record, classification="2B", note="zq7 first")
    judge(store, ben.id, "disagree", record=record, region_=regions(record)[0], note="zq7 verdict")
    miss(store, ben.id, record=record, at=(7.125, -3.5, 5.5), note="zq7 mark")
    second(store, ben.id, record=record, classification="2B", note="zq7 second")
    first(store, ada.id, record=record)
    judge(store, ada.id, "agree", record=record, region_=regions(record)[0])
    early = page(store, ada, record)
    assert "zq7" not in early
    assert "Other readers" not in early
    second(store, ada.id, record=record)
    text = words(page(store, ada, record))
    assert "Ben Secret" not in text, "names stay out"
    assert {"zq7 verdict", "zq7 mark", "zq7 second"} <= set(re.findall(r"zq7 \w+", text))
    assert "zq7 first" not in text, "the read that counts"
    answers = answers_visible(store, ada.id, coordinator=True)
    for one in disputes(answers):
        final = "disagree" if one.subject == "region" else "1B"
        decide(store, one, id=new_id(), reader_id=ada.id, decision=final, reason=f"why {final}")
    text = words(page(store, ada, record))
    assert "Adjudicated: Disagree: a false alarm . why disagree" in text
    assert "Adjudicated class: 1B. why 1B" in text


def test_a_report_shows_others_answers_to_its_own_case_only(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    ben = reader_for(store, "Ben", "typed")
    for one in (ada, ben):
        first(store, one.id, record=record)
        second(store, one.id, record=record)
        second(store, one.id, "sub-other_ses-01")
    page(store, ada, record)
    assert seen_by(store, ada.id) == {(record.case_id, record.input_hash)}


def test_weak_regions_only_on_request_or_once_judged(
    store: Store, ada: SavedReader, record: CaseRecord
) -> None:
    first(store, ada.id, record=record)
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    table = paths.regions(record.model)
    weak = replace(regions(record)[1], id="weak", band="2-3")
    write_regions([*read_regions(table), weak], table)
    record = replace(record, files=record.files | {table.name: file_hash(table)})
    assert "weak" not in {one.id for one in content(store, ada, record).regions}
    assert content(store, ada, record).bands == {"3-4", "4+"}
    assert "(|z| in SD; 2–3 not coloured)" in page(store, ada, record)
    assert "weak" in {one.id for one in content(store, ada, record, weak=True).regions}
    assert content(store, ada, record, weak=True).bands == {"2-3", "3-4", "4+"}
    judge(store, ada.id, "agree", record=record, region_=weak)
    assert "weak" in {one.id for one in content(store, ada, record).regions}
    assert "2-3" in content(store, ada, record).bands, "what was judged is seen"
    assert "not coloured" not in page(store, ada, record)


def test_a_changed_file_is_refused(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    first(store, ada.id, record=record)
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    write_regions([], paths.regions(record.model))
    with pytest.raises(ValueError, match="changed since this analysis"):
        content(store, ada, record)
    with pytest.raises(ReportError, match="no fused map"):
        content(store, ada, record, name="fused")


def test_forty_regions_stay_under_8_mb(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    first(store, ada.id, record=record)
    many = [replace(regions(record)[0], id=f"m{at:02d}") for at in range(40)]
    html = case_page(replace(content(store, ada, record), regions=many), MADE)
    assert html.count("plane through") == 120
    assert len(html.encode()) < 8e6


def test_card_s_excerpt_leaves_settings_out() -> None:
    card = (
        "# vae\n\nWhat it is.\n\n> **Synthetic data only.**\n\n## Intended use\nResearch.\n\n## Training\n"
        "| | |\n|---|---|\n| Data | demo |\n\nSettings: seed 0.\n\n## Metrics\nNone.\n\n## Limits\n- Blur.\n"
        "\n## Citation\nSomebody.\n"
    )
    html = excerpt(card)
    assert "<td>demo</td>" in html
    assert "<li>Blur.</li>" in html
    assert "What it is." in html
    for gone in ("Settings", "Somebody", "Research.", "<h1>"):
        assert gone not in html


def test_a_picture_that_lies_elsewhere_leaves_its_words() -> None:
    """Opened, the report would ask another host for it, and tell who reads which case when."""
    html = excerpt(
        "# T\n\nThe ![loss & <b>](https://else.where/loss.png 'x'), ![curve](figures/curve.png), ![ref][r] "
        "and ![dot](data:image/png;base64,AAAA).\n\n[r]: //else.where/r.png\n"
    )
    assert html == (
        "<p>The loss &amp; &lt;b&gt;, curve, ref and "
        '<img src="data:image/png;base64,AAAA" alt="dot" />.</p>\n'
    )


def test_excerpt_knows_the_headings_of_our_cards() -> None:
    source = Path(model_card.__code__.co_filename).read_text()
    for heading in ("Training", "Calibration", "Metrics", "Limits"):
        assert f'"## {heading}"' in source


def test_printed_page_is_white() -> None:
    style = STYLE.read_text()
    assert "@media print" in style
    assert "size: A4" in style
    assert "break-inside: avoid" in style


def test_every_sheet_names_the_case(store: Store, ada: SavedReader, record: CaseRecord) -> None:
    first(store, ada.id, record=record)
    assert f"@top-left {{ content: '{record.case_id}, {record.model}, volume map'" in page(store, ada, record)
    assert "@bottom-center { content: 'SYNTHETIC'" in page(store, ada, record)
    real = replace(
        content(store, ada, record), record=replace(record, synthetic=False, subject="sub-x'}</style>")
    )
    html = case_page(real, MADE)
    assert "SYNTHETIC" not in html
    assert html.count("</style>") == 1


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["ink", "soft", "accent"])
def test_contrast_is_aa(name: str) -> None:
    """WCAG 2: 4.5 to 1, on white and on the warning's ground."""
    style = STYLE.read_text()
    colour = re.search(rf"--{name}: (#\w{{6}})", style)
    assert colour is not None
    for ground in ("#ffffff", "#fff3cd"):
        dark, light = sorted((luminance(colour[1]), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("value", "said"), [(-0.001, "0.0"), (-1.26, "−1.3"), (1234.56, "1 234.6"), (0.0, "0.0")]
)
def test_numbers(value: float, said: str) -> None:
    assert number(value, 1) == said


def test_seconds() -> None:
    assert [seconds(value) for value in (0.2, 59.4, 59.6, 125)] == ["0 s", "59 s", "1 min 00 s", "2 min 05 s"]


def test_refusal_is_text() -> None:
    assert "&lt;b&gt;" in refusal("<b>")


def test_command_line(
    store: Store, ada: SavedReader, record: CaseRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_case(settings().derivatives_dir, "sub-unread")
    first(store, ada.id, record=record)
    out = tmp_path / "reports"
    common = ["--reader", "Ada", "--out", str(out)]
    assert command.main(["--case", "all", *common]) == 1
    said = capsys.readouterr()
    assert f"{other.case_id}: Ada has not locked a first read" in said.err
    assert [path.name for path in out.iterdir()] == [
        f"{record.case_id}_model-vae8x8n512_desc-volumeReport.html"
    ]
    assert command.main(["--case", address(record)[:16], *common]) == 0
    assert command.main(["--case", "0" * 16, *common]) == 2
    assert command.main(["--case", "all", "--reader", "Nobody", "--out", str(out)]) == 2
    assert "nobody of that name" in capsys.readouterr().err
