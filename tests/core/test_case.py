"""Analysis of one scan: what it finds, what it writes, and what a crash or a second call does."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from core.anomaly.bands import BANDS, band_labels, band_percent
from core.anomaly.normative import Normative
from core.anomaly.regions import FLOOR_MM3
from core.case import AnalyzeSettings, CaseError, analyze, analyze_settings_from_dict
from core.folder import Cancelled, FolderError, case_lock
from core.io.bids import Scan
from core.io.derivatives import CasePaths, MapName, iter_records, read_record, read_regions
from core.io.volume import Volume, VolumeError, file_hash, load_mask, load_volume, save_volume
from core.prepared import prepare_scan
from core.preprocess.pipeline import PrepareSettings, Reference
from core.scoring import ScoredMap, score_map, scores
from tests.core.case_fakes import (
    BLOB_MM,
    CUBE,
    CountingNetwork,
    fake_predictor,
    fake_prepare,
    phantom,
    reference,
    write_scan,
)

MODEL = "vae_8x8_512"


@pytest.fixture(autouse=True)
def _preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)


def normative(floor_mm3: float = FLOOR_MM3) -> Normative:
    validation = {"mse": np.array([0.0, 1.0, 2.0]), "normative_top": np.array([1.0, 2.0, 3.0])}
    counts = {
        f"regions_{name}_{band}": np.array([1.0, 2.0, 6.0])
        for name in ("volume", "normative")
        for band in ("2-3", "3-4", "4+")
    }
    mean, sd = np.zeros((CUBE,) * 3, np.float32), np.full((CUBE,) * 3, 0.01, np.float32)
    return Normative(mean, sd, 3, 4.0, 2.0, 1.0, floor_mm3, validation | counts)


@pytest.mark.parametrize("stored", [("R", "A", "S"), ("L", "A", "S"), ("P", "S", "R")])
def test_a_bright_blob_is_found_where_it_is(tmp_path: Path, stored: tuple[str, str, str]) -> None:
    scan = write_scan(tmp_path / "bids", stored)
    model = fake_predictor(CountingNetwork(), normative())
    record = analyze(scan, model, reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    regions = read_regions(paths.regions(MODEL))
    assert {region.map for region in regions} == {"volume", "normative"}
    for name in ("volume", "normative"):
        first = next(region for region in regions if region.map == name)
        assert (first.sign, first.band, first.side) == (1, "4+", "left")
        np.testing.assert_allclose([first.x_mm, first.y_mm, first.z_mm], BLOB_MM, atol=2)
        # The stored voxel of the centroid is the blob in the files as written.
        z = load_volume(paths.z(MODEL, name))
        assert z.stored == stored
        assert z.stored_data[first.i, first.j, first.k] > 4
        assert load_volume(paths.acquired).stored_data[first.i, first.j, first.k] > 500
        assert z.data[:, :, first.slice_axial].max() > 4
    # 13 mm wide on a 2 × 2 × 2.5 mm grid: at least half, at most thrice the planted volume.
    assert 0.5 * 13**3 < next(r for r in regions if r.map == "normative").volume_mm3 < 3 * 13**3
    assert record.scores["mse"] == pytest.approx(0.25**2 / 4 * 13**3 / 128**3, rel=0.5)


def test_maps_and_reconstruction_lie_on_the_scans_own_grid(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids", ("L", "P", "S"))
    analyze(scan, fake_predictor(CountingNetwork(), normative()), reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    acquired = load_volume(scan.path)
    mask = load_volume(paths.mask).data > 0
    np.testing.assert_array_equal(load_volume(paths.acquired).data, acquired.data)
    for path in (paths.reconstruction(MODEL), paths.z(MODEL, "volume"), paths.z(MODEL, "normative")):
        volume = load_volume(path)
        assert volume.shape == acquired.shape
        np.testing.assert_allclose(volume.stored_affine, acquired.stored_affine, atol=1e-4)
        if "zmap" in path.name:
            assert not volume.data[~mask].any()
    expected = load_volume(paths.reconstruction(MODEL)).data
    assert 0 <= expected.min() < expected.max() <= 1


def test_record_says_what_was_done(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    record = analyze(scan, fake_predictor(CountingNetwork(), normative()), reference(), tmp_path / "out")
    assert (record.case_id, record.model, record.age_weeks, record.synthetic) == (
        "sub-one_ses-01",
        MODEL,
        40.0,
        True,
    )
    assert record.mask_source == "given"
    assert record.scores["mse_percentile"] == pytest.approx(100 * 1 / 3)
    assert record.scores["normative_top_percentile"] == 100
    assert record.false_alarms["normative"] == {"2-3": 3.0, "3-4": 3.0, "4+": 3.0}
    assert [row.band for row in record.bands["volume"]] == ["-4", "-4..-3", "-3..-2", "2..3", "3..4", "4"]
    bright = record.bands["volume"][5]
    assert bright.clusters * bright.mean_cluster_size == pytest.approx(4**3, abs=40)
    assert {"prepare", "reconstruct", "score", "write", "prepare_register"} <= set(record.times)
    assert record.settings["prepare"]["cube"] == CUBE
    assert record.settings["floor_mm3"] == 100
    assert record.versions["numpy"] == np.__version__
    assert len(record.files) == 8
    assert list(iter_records(tmp_path / "out")) == [record]


def test_false_alarms_are_not_told_for_another_floor(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    model = fake_predictor(CountingNetwork(), normative(floor_mm3=50))
    assert analyze(scan, model, reference(), tmp_path / "out").false_alarms == {}


def test_without_calibration_there_is_the_volume_map(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    record = analyze(scan, fake_predictor(CountingNetwork()), reference(), tmp_path / "out")
    assert set(record.bands) == {"volume"}
    assert set(record.scores) == {"mse", "cluster_size"}
    assert not CasePaths(tmp_path / "out", "sub-one", "ses-01").z(MODEL, "normative").exists()
    with pytest.raises(CaseError, match="is not calibrated for normative; it can give volume"):
        analyze(
            scan,
            fake_predictor(CountingNetwork()),
            reference(),
            tmp_path / "out",
            AnalyzeSettings(("normative",)),
        )


def test_nothing_is_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    model = fake_predictor(network, normative())
    first = analyze(scan, model, reference(), tmp_path / "out")
    heard: list[tuple[str, float]] = []
    again = analyze(scan, model, reference(), tmp_path / "out", progress=lambda *step: heard.append(step))
    assert again == first
    assert network.calls == 1
    assert heard == [("cached", 1.0)]
    # Another setting is another analysis, of the same prepared scan.
    monkeypatch.setattr("core.prepared.prepare", lambda *_: pytest.fail("prepared twice"))
    other = analyze(scan, model, reference(), tmp_path / "out", AnalyzeSettings(floor_mm3=50))
    assert network.calls == 2
    assert other.key != first.key


@pytest.mark.parametrize("damage", ["z", "regions", "record", "prepared"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    model = fake_predictor(network, normative())
    first = analyze(scan, model, reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    target = {
        "z": paths.z(MODEL, "volume"),
        "regions": paths.regions(MODEL),
        "record": paths.case_json(MODEL),
        "prepared": paths.prepared(CUBE),
    }[damage]
    whole = target.read_bytes()
    target.write_bytes(whole[: len(whole) // 2])
    again = analyze(scan, model, reference(), tmp_path / "out")
    assert network.calls == 2
    assert (again.key, again.files) == (first.key, first.files)
    if damage != "record":  # which holds times
        assert target.read_bytes() == whole


def test_ids_stay_when_all_is_computed_again(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    tables = []
    for out in ("a", "b"):
        analyze(scan, fake_predictor(CountingNetwork(), normative()), reference(), tmp_path / out)
        tables.append(read_regions(CasePaths(tmp_path / out, "sub-one", "ses-01").regions(MODEL)))
    assert tables[0] == tables[1]
    assert len({region.id for region in tables[0]}) == len(tables[0]) > 1


def eroded(scan: Scan, path: Path) -> Scan:
    """The same scan with a smaller mask."""
    assert scan.mask is not None
    mask = load_mask(scan.mask, load_volume(scan.path))
    save_volume(mask.with_data(ndimage.binary_erosion(mask.data > 0, iterations=4)), path, np.uint8)
    return replace(scan, mask=path)


def test_key_moves_with_all_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, other = write_scan(tmp_path / "bids"), write_scan(tmp_path / "other", blob=0.3)
    model = fake_predictor(CountingNetwork(), normative())
    base = (scan, model, reference(), AnalyzeSettings())
    variants = {
        "first": base,
        "scan": (other, *base[1:]),
        "mask": (eroded(scan, tmp_path / "mask.nii.gz"), *base[1:]),
        "model": (scan, replace(model, hash="retrained"), *base[2:]),
        "reference": (scan, model, replace(reference(), hash="other"), AnalyzeSettings()),
        "floor": (*base[:3], AnalyzeSettings(floor_mm3=40)),
        "maps": (*base[:3], AnalyzeSettings(maps=("volume",))),
        "subject": (replace(scan, subject="sub-two"), *base[1:]),
        "session": (replace(scan, session="ses-02"), *base[1:]),
        "age": (replace(scan, age=36.0), *base[1:]),
        "synthetic": (replace(scan, synthetic=False), *base[1:]),
    }
    keys = {name: analyze(s, m, r, tmp_path / name, o).key for name, (s, m, r, o) in variants.items()}
    for name, value in (
        ("prepared.VERSION", 99),
        ("case.SCORE_VERSION", 99),
        ("prepared.PACKAGES", ("nibabel",)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"core.{name}", value)
            keys[name] = analyze(scan, model, reference(), tmp_path / name).key
    assert len(set(keys.values())) == len(keys) == 14
    assert analyze(scan, model, reference(), tmp_path / "again").key == keys["first"]


def test_a_corrected_age_does_not_come_back_stale(tmp_path: Path) -> None:
    scan, model = write_scan(tmp_path / "bids"), fake_predictor(CountingNetwork())
    analyze(scan, model, reference(), tmp_path / "out")
    assert analyze(replace(scan, age=44.0), model, reference(), tmp_path / "out").age_weeks == 44


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_another_scan_of_the_same_label_is_refused(tmp_path: Path) -> None:
    scan, other = write_scan(tmp_path / "site-a"), write_scan(tmp_path / "site-b", blob=0.0, seed=9)
    model = fake_predictor(CountingNetwork(), normative())
    record = analyze(scan, model, reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    before, second = contents(paths.folder), replace(model, name="std_8x8", hash="other")
    ours, theirs = record.input_hash[:12], file_hash(other.path)[:12]
    text = rf"sub-one_ses-01: .*another scan .*{ours}….* this one is {theirs}….*--out.*--replace"
    with pytest.raises(FolderError, match=text):
        analyze(other, second, reference(), tmp_path / "out")
    with pytest.raises(FolderError, match=text):
        prepare_scan(other, reference(), tmp_path / "out", PrepareSettings(cube=16))
    assert contents(paths.folder) == before
    # A scan that was only prepared counts, too.
    prepare_scan(other, reference(), tmp_path / "prepared", PrepareSettings(cube=16))
    with pytest.raises(FolderError, match="another scan"):
        analyze(scan, model, reference(), tmp_path / "prepared")


def test_replace_removes_all_of_the_other_scan(tmp_path: Path) -> None:
    scan, other = write_scan(tmp_path / "site-a"), write_scan(tmp_path / "site-b", blob=0.0, seed=9)
    model = fake_predictor(CountingNetwork(), normative())
    second = replace(model, name="std_8x8", hash="other")
    for one in (model, second):
        analyze(scan, one, reference(), tmp_path / "out")
    prepare_scan(scan, reference(), tmp_path / "out", PrepareSettings(cube=16))
    record = analyze(other, second, reference(), tmp_path / "out", replace_scan=True)
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    assert list(iter_records(tmp_path / "out")) == [record]
    sidecars = {paths.prepared_json(CUBE).name, paths.qc(CUBE).name}
    assert set(contents(paths.folder)) == {".lock", paths.case_json("std_8x8").name, *record.files, *sidecars}
    np.testing.assert_array_equal(load_volume(paths.acquired).data, load_volume(other.path).data)
    # Asked for again, it has nothing to remove.
    assert analyze(other, second, reference(), tmp_path / "out", replace_scan=True) == record


def test_another_mask_of_the_same_scan_takes_what_rests_on_the_old_one(tmp_path: Path) -> None:
    scan, model = write_scan(tmp_path / "bids"), fake_predictor(CountingNetwork(), normative())
    second = replace(model, name="std_8x8", hash="other")
    for one in (model, second):
        analyze(scan, one, reference(), tmp_path / "out")
    prepare_scan(scan, reference(), tmp_path / "out", PrepareSettings(cube=16))
    record = analyze(eroded(scan, tmp_path / "mask.nii.gz"), model, reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    assert list(iter_records(tmp_path / "out")) == [record]
    assert paths.prepared_json(CUBE).exists()
    assert not paths.prepared_json(16).exists()
    # With one mask, results of several models and cubes stand side by side.
    small = eroded(scan, tmp_path / "mask.nii.gz")
    analyze(small, second, reference(), tmp_path / "out")
    prepare_scan(small, reference(), tmp_path / "out", PrepareSettings(cube=16))
    assert {one.model for one in iter_records(tmp_path / "out")} == {"vae_8x8_512", "std_8x8"}
    assert paths.prepared_json(CUBE).exists()


def test_bands_on_the_scans_grid_are_those_of_the_cube() -> None:
    volume, mask = phantom()
    prepared = fake_prepare(volume, mask, reference(), PrepareSettings(cube=CUBE))
    inside = prepared.cube_mask.data > 0
    rng = np.random.default_rng(5)
    z = (rng.normal(0, 2, inside.shape) * inside).astype(np.float32)
    scored = score_map("volume", z, prepared, "key", FLOOR_MM3)
    brain = prepared.mask.data > 0
    shown = band_percent(band_labels(scored.scan.data, brain), brain)
    # A cube voxel holds 6.4 of the scan's: the error is that of the cube's own number of voxels.
    for name, percent in scored.percent.items():
        sampling = np.sqrt(percent * (100 - percent) / inside.sum())
        assert shown[name] == pytest.approx(percent, abs=4 * sampling), name
    assert set(np.unique(scored.scan.data)) <= set(np.unique(z))


def test_side_is_told_from_the_references_middle_wherever_its_origin_is(tmp_path: Path) -> None:
    scan, brain = write_scan(tmp_path / "bids"), reference()
    corner = brain.volume.affine.copy()
    corner[:3, 3] = 0
    shifted = Reference(
        Volume(brain.volume.data, corner), Volume(brain.mask.data, corner), "corner", "origin in a corner"
    )
    model = fake_predictor(CountingNetwork(), normative())
    sides = {}
    for name, one in (("middle", brain), ("corner", shifted)):
        analyze(scan, model, one, tmp_path / name)
        regions = read_regions(CasePaths(tmp_path / name, "sub-one", "ses-01").regions(MODEL))
        sides[name] = {(region.x_mm, region.side) for region in regions}
    assert sides["corner"] == sides["middle"]
    assert any(x < -15 and side == "left" for x, side in sides["corner"])


def test_record_tells_how_much_no_normal_covers(tmp_path: Path) -> None:
    scan, known = write_scan(tmp_path / "bids"), normative()
    sd = known.sd.copy()
    sd[:16] = 0
    model = fake_predictor(CountingNetwork(), replace(known, sd=sd))
    scores = analyze(scan, model, reference(), tmp_path / "out").scores
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    brain = load_volume(paths.prepared_mask(CUBE)).data
    assert scores["normative_uncovered"] == pytest.approx(100 * brain[:16].sum() / brain.sum())
    assert 45 < scores["normative_uncovered"] < 55  # the left half
    assert scores["validation_n"] == 3
    whole = analyze(scan, fake_predictor(CountingNetwork(), known), reference(), tmp_path / "whole").scores
    assert whole["normative_uncovered"] == 0


def test_record_tells_how_much_of_the_fused_map_stands_out_beside_normals() -> None:
    scan, mask = phantom()
    prepared = fake_prepare(scan, mask, reference(), PrepareSettings(cube=CUBE))
    inside = np.flatnonzero(prepared.cube_mask.data > 0)
    z = np.zeros(prepared.cube_mask.data.shape, np.float32)
    z.ravel()[inside[: inside.size // 10]] = -3.5
    z.ravel()[inside[-(inside.size // 10) :]] = 2.5
    shares = {f"percent_fused_{band.name}": np.zeros(3) for band in BANDS}
    shares["percent_fused_2..3"] = np.array([1.0, 5.0, 30.0])
    shares["percent_fused_4"] = np.array([1.0, 0.0, 0.0])
    known = normative()
    model = fake_predictor(CountingNetwork(), replace(known, validation={**known.validation, **shares}))
    maps: dict[MapName, ScoredMap] = {"fused": score_map("fused", z, prepared, "key", FLOOR_MM3)}
    found = scores(model, 0.0, maps, prepared)
    assert found["fused_percent"] == pytest.approx(20, abs=0.1)
    assert found["fused_percent_most"] == 30
    assert found["fused_percent_percentile"] == pytest.approx(200 / 3)
    plain = scores(fake_predictor(CountingNetwork(), known), 0.0, maps, prepared)
    assert "fused_percent" not in plain


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part"))


@pytest.mark.parametrize("step", ["prepare", "reconstruct", "score", "write", "done"])
def test_a_crash_leaves_no_record_and_the_next_run_goes_on(tmp_path: Path, step: str) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    model = fake_predictor(network, normative())
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")

    def crash(name: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze(scan, model, reference(), tmp_path / "out", progress=crash)
    assert paths.case_json(MODEL).exists() == (step == "done")
    assert parts(tmp_path) == []
    record = analyze(scan, model, reference(), tmp_path / "out")
    assert read_record(paths.case_json(MODEL)) == record


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    folder = CasePaths(tmp_path / "out", "sub-one", "ses-01").folder
    (folder / ".prepared.part").mkdir(parents=True)
    (folder / ".prepared.part" / "half.nii.gz").write_bytes(b"half")
    (folder / ".x.nii.gz.1234.part").write_bytes(b"half")
    (folder / "y_case.json.part").write_bytes(b"{")
    analyze(scan, fake_predictor(CountingNetwork()), reference(), tmp_path / "out")
    assert parts(tmp_path) == []


def test_an_older_record_is_gone_while_its_files_are_replaced(tmp_path: Path) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    model = fake_predictor(network, normative())
    analyze(scan, model, reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    network.fail = True
    with pytest.raises(RuntimeError, match="network broke"):
        analyze(scan, replace(model, hash="new"), reference(), tmp_path / "out")
    # The new run failed before it wrote: the old result still stands, whole.
    assert analyze(scan, model, reference(), tmp_path / "out").model_hash == "model-hash"
    assert paths.case_json(MODEL).exists()


def test_cancel_stops_between_steps(tmp_path: Path) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    heard: list[str] = []
    with pytest.raises(Cancelled, match="sub-one_ses-01: cancelled before the step 'reconstruct'"):
        analyze(
            scan,
            fake_predictor(network),
            reference(),
            tmp_path / "out",
            progress=lambda step, _: heard.append(step),
            cancel=lambda: heard == ["prepare"],
        )
    assert network.calls == 0


def test_two_at_once_compute_once(tmp_path: Path) -> None:
    scan, network = write_scan(tmp_path / "bids"), CountingNetwork()
    model, keys = fake_predictor(network, normative()), []
    threads = [
        threading.Thread(target=lambda: keys.append(analyze(scan, model, reference(), tmp_path / "out").key))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert network.calls == 1
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_waiting_for_another_can_be_cancelled(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    with case_lock(paths), pytest.raises(Cancelled, match="while another analysis of it ran"):
        analyze(scan, fake_predictor(CountingNetwork()), reference(), tmp_path / "out", cancel=lambda: True)


def test_bad_scan_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    scan.path.write_bytes(scan.path.read_bytes()[:2000])
    with pytest.raises(VolumeError, match=r"sub-one_ses-01_T2w\.nii\.gz: gzip stream is cut off"):
        analyze(scan, fake_predictor(CountingNetwork()), reference(), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == [".lock"]


def test_calibration_must_fit(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    model = fake_predictor(CountingNetwork(), normative())
    with pytest.raises(CaseError, match="calibrated with smooth_z_mm 2, the analysis asks for 3"):
        analyze(scan, model, reference(), tmp_path / "out", AnalyzeSettings(smooth_z_mm=3))
    small = Normative(np.zeros((8, 8, 8), np.float32), np.ones((8, 8, 8), np.float32), 3, 4, 2)
    with pytest.raises(CaseError, match=r"shape \(8, 8, 8\), the network takes 32³"):
        analyze(scan, replace(model, normative=small), reference(), tmp_path / "out")


def test_settings_are_strict() -> None:
    assert analyze_settings_from_dict({"floor_mm3": 12, "maps": ["volume"]}) == AnalyzeSettings(
        ("volume",), 12
    )
    with pytest.raises(
        CaseError, match="unknown setting flor_mm3; known are floor_mm3, maps, mask, smooth_z_mm"
    ):
        analyze_settings_from_dict({"flor_mm3": 12})
    with pytest.raises(CaseError, match="unknown map window; known are volume, normative"):
        analyze_settings_from_dict({"maps": ["window"]})
    with pytest.raises(CaseError, match="no map asked for"):
        AnalyzeSettings(())
    with pytest.raises(CaseError, match="floor_mm3 is -1"):
        AnalyzeSettings(floor_mm3=-1)
    with pytest.raises(CaseError, match="smooth_z_mm is -1"):
        AnalyzeSettings(smooth_z_mm=-1)


def test_sidecar_of_the_prepared_scan(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    analyze(scan, fake_predictor(CountingNetwork()), reference(), tmp_path / "out")
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    sidecar = json.loads(paths.prepared_json(CUBE).read_text())
    assert sidecar["scan_to_reference"] == np.eye(4).tolist()
    assert (sidecar["mask_source"], sidecar["overlap"]) == ("given", 1.0)
    assert sidecar["synthetic"] is True
    assert sidecar["settings"]["cube"] == CUBE
    assert sidecar["reference"] == {"name": "phantom", "hash": "reference-hash"}
