import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from core.config import settings as app_settings
from core.demo import cohort
from core.demo.cohort import DemoError, DemoSettings, SubjectFiles, cohort_specs, demo_reference, write_cohort
from core.demo.subject import make_subject
from core.io.bids import find_scans
from core.io.volume import file_hash, load_mask, load_volume

TINY = DemoSettings(train=1, validation=1, test_normal=1, test_abnormal=2, coarsen=3.0)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of every file."""
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in root.rglob("*")
        if p.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    calls: list[tuple[int, int, str]] = []
    files = write_cohort(root, "test", TINY, jobs=1, progress=lambda *call: calls.append(call))
    return root, files, calls


def test_files_lie_as_bids_says(written):
    root, files, calls = written
    assert calls == [(1, 3, "sub-synth003"), (2, 3, "sub-synth004"), (3, 3, "sub-synth005")]
    assert [f.spec.subject for f in files] == ["sub-synth003", "sub-synth004", "sub-synth005"]
    anat = "sub-synth003/ses-01/anat/sub-synth003_ses-01"
    assert files[0].scan == root / f"{anat}_T2w.nii.gz"
    assert files[0].mask == root / f"derivatives/brainmask/{anat}_desc-brain_mask.nii.gz"
    assert files[0].lesions == root / f"derivatives/lesions/{anat}_desc-lesion_mask.nii.gz"
    for f in files:
        assert f.lesions.is_file() == bool(f.spec.plans)
        scan = load_volume(f.scan)
        assert load_mask(f.mask, scan).data.sum() > 1000
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["Name"] == "Fontanelle synthetic newborn-like cohort"
    assert description["Synthetic"] is True
    assert "Fonov" in description["ReferencesAndLinks"][0]
    assert "SYNTHETIC" in (root / "README").read_text()


def test_written_scan_is_the_made_one(written):
    _, files, _ = written
    made, scan = make_subject(4, TINY), load_volume(files[1].scan)
    assert np.array_equal(scan.data, made.volume.data)
    assert scan.stored == made.volume.stored
    assert scan.affine == pytest.approx(made.volume.affine, abs=1e-4)


def test_tables(written):
    root, files, _ = written
    people = read_table(root / "participants.tsv")
    assert list(people[0]) == ["participant_id", "session_id", "age", "sex", "radiology_score", "split"]
    for row, f in zip(people, files, strict=True):
        spec = f.spec
        assert row["participant_id"] == spec.subject
        assert float(row["age"]) == spec.age
        assert row["radiology_score"] == ("5" if spec.plans else "1")
        assert (row["session_id"], row["sex"], row["split"]) == ("ses-01", spec.sex, "test")
    assert sorted(row["radiology_score"] for row in people) == ["1", "5", "5"]
    assert set(json.loads((root / "participants.json").read_text())) == set(people[0])
    lesions = read_table(root / "derivatives/lesions/lesions.tsv")
    assert {row["subject"] for row in lesions} == {f.spec.subject for f in files if f.spec.plans}
    for row in lesions:
        f = next(f for f in files if f.spec.subject == row["subject"])
        labels = load_volume(f.lesions)
        voxels = np.argwhere(labels.data == int(row["label"]))
        assert float(row["volume_mm3"]) == pytest.approx(len(voxels) * labels.voxel_volume, abs=0.06)
        x = (labels.affine[:3, :3] @ voxels.mean(0) + labels.affine[:3, 3])[0]
        assert float(row["x_mm"]) == pytest.approx(x, abs=0.02)


def test_second_call_writes_nothing(written):
    root, _, _ = written
    before = snapshot(root)
    calls: list[tuple[int, int, str]] = []
    write_cohort(root, "test", TINY, jobs=1, progress=lambda *call: calls.append(call))
    assert calls == []
    assert snapshot(root) == before


@pytest.mark.parametrize("harm", ["no sidecar", "truncated scan", "no mask", "old recipe", "broken sidecar"])
def test_half_written_subject_is_made_again(written, harm):
    root, files, _ = written
    before = {name: content for name, (_, content) in snapshot(root).items()}
    target = files[2]
    if harm == "no sidecar":
        target.sidecar.unlink()
    elif harm == "truncated scan":
        target.scan.write_bytes(target.scan.read_bytes()[:1000])
    elif harm == "no mask":
        target.mask.unlink()
    elif harm == "old recipe":
        target.sidecar.write_text(json.dumps(json.loads(target.sidecar.read_text()) | {"Recipe": "0"}))
    else:
        target.sidecar.write_text("{")
    calls: list[tuple[int, int, str]] = []
    write_cohort(root, "test", TINY, jobs=1, progress=lambda *call: calls.append(call))
    assert calls == [(3, 3, "sub-synth005")]
    assert {name: content for name, (_, content) in snapshot(root).items()} == before


def test_other_seed_is_another_recipe(written):
    _, files, _ = written
    spec = files[0].spec
    assert cohort._recipe(TINY, spec) != cohort._recipe(DemoSettings(seed=1, coarsen=3.0), spec)


def test_processes_write_the_same_bytes_and_the_rest_joins(written, tmp_path):
    root, _, _ = written
    write_cohort(tmp_path, "all", TINY, jobs=2)
    rows = read_table(tmp_path / "participants.tsv")
    assert [row["split"] for row in rows] == ["train", "validation", "test", "test", "test"]
    tables = ("participants.tsv",)
    for name, (_, content) in snapshot(root).items():
        if name not in tables:
            assert (tmp_path / name).read_bytes() == content, name
    # Asking for the test part afterwards takes no one away.
    write_cohort(tmp_path, "test", TINY, jobs=1)
    assert len(read_table(tmp_path / "participants.tsv")) == 5


def test_t1w_scans_join_where_asked_for_and_stay(written, tmp_path):
    files = write_cohort(tmp_path, settings=TINY, jobs=1)
    assert not any(one.t1w.exists() for one in files)
    before = {one.scan: one.scan.read_bytes() for one in files}
    seen = []
    write_cohort(tmp_path, settings=TINY, jobs=1, t1w=True, progress=lambda *told: seen.append(told))
    assert len(seen) == len(files)
    assert {path: path.read_bytes() for path in before} == before
    one = files[1]
    t1, t2 = load_volume(one.t1w), load_volume(one.scan)
    assert t1.shape == t2.shape
    assert np.allclose(t1.affine, t2.affine)
    stamp = one.t1w.stat().st_mtime_ns
    write_cohort(tmp_path, settings=TINY, jobs=1, t1w=True)
    assert one.t1w.stat().st_mtime_ns == stamp
    one.t1w.write_bytes(b"broken")
    write_cohort(tmp_path, settings=TINY, jobs=1, t1w=True)
    assert np.array_equal(load_volume(one.t1w).data, t1.data)
    (found,) = [scan for scan in find_scans(tmp_path) if scan.subject == one.spec.subject]
    assert found.t1w == one.t1w


def test_unknown_part_is_refused(tmp_path):
    with pytest.raises(DemoError, match='which: \'train\'; expected "test" or "all"'):
        write_cohort(tmp_path, "train", TINY)  # type: ignore[arg-type]
    assert [s.number for s in cohort_specs("test", TINY)] == [3, 4, 5]
    assert not list(tmp_path.iterdir())


def test_normal_that_was_ill_keeps_no_lesion_file(tmp_path):
    spec = cohort_specs("all", TINY)[0]
    files = SubjectFiles(tmp_path, spec)
    files.lesions.parent.mkdir(parents=True)
    files.lesions.write_bytes(b"old")
    cohort._write_subject(spec.number, tmp_path, TINY)
    assert files.sidecar.is_file()
    assert not files.lesions.exists()


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("FONTANELLE_DATA_DIR", str(tmp_path))
    app_settings.cache_clear()
    yield tmp_path
    app_settings.cache_clear()


def test_reference_is_stripped_repeatable_and_mends_itself(data_dir):
    first = demo_reference()
    assert (first.volume.data[first.mask.data == 0] == 0).all()
    assert first.volume.data[first.mask.data == 1].mean() > 300
    assert first.volume.spacing == pytest.approx([1, 1, 1])
    ml = first.mask.data.sum() / 1000
    assert 350 < ml < 480
    grown = first.volume.data
    assert np.abs(grown - grown[::-1]).mean() < 0.02 * grown.max()
    scan = data_dir / "demo" / "reference" / "T2w.nii.gz"
    hashes = file_hash(scan) + file_hash(scan.with_name("brain_mask.nii.gz"))
    assert first.hash == hashlib.sha256(hashes.encode()).hexdigest()
    stamp = scan.stat().st_mtime_ns
    assert demo_reference().hash == first.hash
    assert scan.stat().st_mtime_ns == stamp
    scan.write_bytes(scan.read_bytes()[:500])
    again = demo_reference()
    assert again.hash == first.hash
    assert np.array_equal(again.volume.data, first.volume.data)
