"""Label maps of readers' feedback: the right voxels, the rules, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.feedback.adjudications import decide, decisions, disputes
from app.feedback.blinding import answers_closed, answers_visible
from app.feedback.label_map import Analysis, LabelError, analyses, label_map
from app.feedback.labels import export_labels, main
from app.feedback.marks import add_missed
from app.feedback.rows import MissedInput, Phase
from app.feedback.store import Store, open_store
from app.feedback.writing import new_id
from core.anomaly.regions import flagged_regions
from core.config import settings
from core.evaluation.feedback import read_feedback
from core.evaluation.statistics import EvaluationError
from core.io.derivatives import CasePaths, CaseRecord, MapName, Region, write_regions
from core.io.volume import load_mask, load_volume
from tests.app.feedback.readings import assign, first, judge, miss, reader, second
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS, SHAPE, phantom_affine, seal, write_case

FLOOR = 100.0
MAPS: tuple[MapName, ...] = ("volume", "normative")


def real_case(
    root: Path, subject: str = "sub-a", stored: tuple[str, str, str] = ("R", "A", "S")
) -> CaseRecord:
    """A case whose regions are those of its z maps, as an analysis lists them."""
    record = write_case(root, subject, stored=stored)
    paths = CasePaths(root, record.subject, record.session)
    z = load_volume(paths.z(record.model, "volume"))
    mask = load_mask(paths.mask, z).data
    listed = [one for name in MAPS for one in flagged_regions(z, mask, name, record.key, FLOOR)]
    write_regions(listed, paths.regions(record.model))
    return seal(root, replace(record, settings={"cube": 64, "floor_mm3": FLOOR}))


def both(root: Path, record: CaseRecord) -> tuple[Region, Region]:
    """The bright and the dark region of the volume map."""
    z = load_volume(CasePaths(root, record.subject, record.session).z(record.model, "volume"))
    mask = load_mask(CasePaths(root, record.subject, record.session).mask, z).data
    bright, dark = flagged_regions(z, mask, "volume", record.key, FLOOR)
    return bright, dark


def analysis(record: CaseRecord) -> Analysis:
    return Analysis(record.case_id, record.input_hash, record.model, record.key, "volume")


@pytest.fixture
def root(data_dir: Path) -> Path:
    return settings().derivatives_dir


@pytest.fixture
def store(root: Path) -> Store:
    return open_store(settings().store_url)


def expected(bright: int, dark: int) -> np.ndarray:
    labels = np.zeros(SHAPE)
    labels[BRIGHT_LEFT.slices] = bright
    labels[DARK_RIGHT.slices] = dark
    return labels


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_accepted_and_rejected_voxels(store: Store, root: Path, stored: tuple[str, str, str]) -> None:
    record = real_case(root, stored=stored)
    bright, dark = both(root, record)
    for name in ("Ada", "Ben"):
        one = reader(store, name)
        judge(store, one, "agree", record=record, region_=bright, finding_type="infarct")
        judge(store, one, "disagree", record=record, region_=dark)
        second(store, one, record=record)
    written, refused = export_labels(answers_closed(store), {}, root, root / "out")
    assert refused == {}
    image = load_volume(next(path for path in written if path.name.endswith(".nii.gz")))
    assert image.stored == stored
    np.testing.assert_array_equal(image.data, expected(1, 2))
    (found,) = read_feedback(root / "out")
    assert [(one.decision, one.agree, one.disagree, one.voxels) for one in found.flags] == [
        ("accepted", 2, 0, 64),
        ("rejected", 0, 2, 12),
    ]
    assert found.flags[0].finding_type == "infarct"
    assert (found.case_id, found.map, found.floor_mm3, found.synthetic) == (
        record.case_id,
        "volume",
        FLOOR,
        True,
    )
    sidecar = json.loads(next(path for path in written if path.name.endswith("dseg.json")).read_text())
    assert sidecar["ModelHash"] == record.model_hash
    assert "RAS+" in sidecar["Convention"]
    assert sidecar["Software"]["fontanelle"]


def test_majority_tie_and_decision(store: Store, root: Path) -> None:
    record = real_case(root)
    bright, dark = both(root, record)
    ada, ben, cleo = (reader(store, name) for name in ("Ada", "Ben", "Cleo"))
    for one, on_bright, on_dark in (
        (ada, "agree", "agree"),
        (ben, "agree", "disagree"),
        (cleo, "unsure", "unsure"),
    ):
        judge(store, one, on_bright, record=record, region_=bright)  # type: ignore[arg-type]
        judge(store, one, on_dark, record=record, region_=dark)  # type: ignore[arg-type]
        second(store, one, record=record)
    labels, flags, _ = label_map(analysis(record), answers_closed(store), {}, root)
    assert [one.decision for one in flags] == ["accepted", "unsure"]
    np.testing.assert_array_equal(labels.data, expected(1, 4))
    answers = answers_visible(store, ada, coordinator=True)
    on_dark_region = next(one for one in disputes(answers) if one.region_id == dark.id)
    decide(
        store,
        on_dark_region,
        id=new_id(),
        reader_id=ada,
        decision="disagree",
        reason="x",
        finding_type="artefact",
    )
    labels, flags, _ = label_map(analysis(record), answers, decisions(store, answers), root)
    np.testing.assert_array_equal(labels.data, expected(1, 2))
    assert (flags[1].decision, flags[1].adjudicated, flags[1].finding_type) == ("rejected", True, "artefact")


def world(voxel: tuple[int, int, int]) -> tuple[float, float, float]:
    x, y, z, _ = phantom_affine() @ [*voxel, 1.0]
    return float(x), float(y), float(z)


def mark(
    store: Store,
    one: int,
    record: CaseRecord,
    at: tuple[int, int, int],
    phase: Phase,
    map: MapName = "volume",
) -> None:
    x, y, z = world(at)
    add_missed(
        store,
        MissedInput(
            new_id(),
            one,
            record.case_id,
            record.model,
            record.model_hash,
            record.input_hash,
            record.key,
            map,
            x,
            y,
            z,
            2.4,
            phase=phase,
        ),
    )


def test_missed_spheres(store: Store, root: Path) -> None:
    record = real_case(root)
    one = reader(store, "Ada")
    assign(store, [one], record.case_id, input_hash=record.input_hash)
    mark(store, one, record, (10, 13, 5), "first")  # nothing flagged there
    mark(store, one, record, (5, 16, 13), "first")  # inside the bright region: found, not missed
    first(store, one, record=record)
    mark(store, one, record, (10, 18, 5), "second")
    mark(store, one, record, (10, 8, 5), "second", "normative")  # missed by the other map
    second(store, one, record=record)
    labels, flags, _ = label_map(analysis(record), answers_closed(store), {}, root)
    # Radius 2.4 mm at 2 × 2 × 2.5 mm: the voxel and its four neighbours in the plane.
    truth = np.zeros(SHAPE)
    for x, y, z in ((10, 13, 5), (10, 18, 5)):
        for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            truth[x + dx, y + dy, z] = 3
    np.testing.assert_array_equal(labels.data, truth)
    assert [one.decision for one in flags] == ["unjudged", "unjudged", "missed", "missed"]
    assert [one.voxels for one in flags[2:]] == [5, 5]


def test_a_sphere_never_hides_a_region_and_may_lie_off_the_grid(store: Store, root: Path) -> None:
    record = real_case(root)
    one = reader(store, "Ada")
    assign(store, [one], record.case_id, input_hash=record.input_hash)
    bright, _ = both(root, record)
    judge(store, one, "disagree", record=record, region_=bright)
    miss(store, one, record=record, at=world((8, 16, 13)), radius_mm=4.1)
    miss(store, one, record=record, at=(900.0, 0.0, 0.0))
    second(store, one, record=record)
    labels, flags, _ = label_map(analysis(record), answers_closed(store), {}, root)
    assert (labels.data[BRIGHT_LEFT.slices] == 2).all()
    assert (labels.data == 3).any()
    assert flags[-1].voxels == 0


def test_what_was_changed_is_refused(store: Store, root: Path) -> None:
    record = real_case(root)
    for name in ("Ada", "Ben"):
        second(store, reader(store, name), record=record)
    answers = answers_closed(store)
    paths = CasePaths(root, record.subject, record.session)
    with pytest.raises(LabelError, match="done anew"):
        label_map(replace(analysis(record), case_key="0" * 64), answers, {}, root)
    with pytest.raises(LabelError, match="not on disk"):
        label_map(replace(analysis(record), model="std_8x8"), answers, {}, root)
    z = paths.z(record.model, "volume")
    z.write_bytes(z.read_bytes() + b"\0")
    _, refused = export_labels(answers, {}, root, root / "out")
    assert list(refused.values()) == [f"{z.name} is not the file that the analysis wrote"]
    assert not (root / "out").exists()


def test_regions_of_another_z_map_are_refused(store: Store, root: Path) -> None:
    record = write_case(root, "sub-a")  # ids that no z map gives
    sealed = seal(root, replace(record, settings={"floor_mm3": FLOOR}))
    with pytest.raises(LabelError, match="region vr01 can't be found again"):
        label_map(analysis(sealed), answers_closed(store), {}, root)


def test_command_line(store: Store, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = real_case(root)
    ada = reader(store, "Ada")
    second(store, ada, record=record)
    out = root / "out"
    assert main(["--out", str(out)]) == 0
    assert "no scan is closed" in capsys.readouterr().err
    assert main(["--out", str(out), "--finished"]) == 0
    assert len(capsys.readouterr().out.split()) == 4
    second(store, reader(store, "Ben"), record=record)
    paths = CasePaths(root, record.subject, record.session)
    paths.regions(record.model).unlink()
    assert main(["--out", str(out)]) == 1
    assert "refused: sub-a_ses-01 vae_8x8_512 volume" in capsys.readouterr().err


def test_planted_scans_and_repeats_are_no_feedback(store: Store, root: Path) -> None:
    record = real_case(root)
    one = reader(store, "Ada")
    assign(store, [one], record.case_id, input_hash=record.input_hash, kind="planted")
    second(store, one, record=record)
    assert analyses(answers_closed(store)) == []


def test_a_table_changed_after_its_export_is_refused(store: Store, root: Path) -> None:
    record = real_case(root)
    for name in ("Ada", "Ben"):
        second(store, reader(store, name), record=record)
    written, _ = export_labels(answers_closed(store), {}, root, root / "out")
    table = next(path for path in written if path.suffix == ".tsv")
    table.write_text(table.read_text().replace("unjudged", "accepted"))
    with pytest.raises(EvaluationError, match="changed since its export"):
        read_feedback(root / "out")
    with pytest.raises(EvaluationError, match="expected what `python -m app"):
        read_feedback(root / "nowhere")
