"""A dHCP tree as released: latest sessions, splits by subject and family, and tables that are wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from core.io.bids import Scan, anat_path
from core.io.cohort import Cohort, SplitSettings, draw, families, import_cohort, latest
from core.io.tables import BidsError


def nifti(path: Path) -> Path:
    """A tiny scan."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5)
    nib.save(nib.Nifti1Image(data, np.diag([0.8, 0.8, 0.8, 1.0])), path)
    return path


def infant(root: Path, label: str, *sessions: tuple[str, str, str], sex: str = "Male") -> None:
    """One subject as dHCP releases it; a session is its number, scan_age and radiology_score."""
    table = root / "participants.tsv"
    if not table.exists():
        root.mkdir(parents=True, exist_ok=True)
        table.write_text("participant_id\tsex\tbirth_age\tbirth_weight\tsingleton\n")
    with table.open("a") as stream:
        stream.write(f"{label}\t{sex}\t39.1\t3.2\tS\n")
    subject = f"sub-{label}"
    lines = ["session_id\tscan_age\tscan_head_circumference\tscan_number\tradiology_score\tsedation"]
    for number, (session, age, score) in enumerate(sessions, 1):
        lines.append(f"{session}\t{age}\t35.0\t{number}\t{score}\t0")
        nifti(anat_path(root, subject, f"ses-{session}"))
        names = (
            "desc-brain_mask",
            "desc-drawem9_dseg",
            "desc-restore_T2w",
            "T1w",
            "desc-restore_space-T2w_T1w",
        )
        for tail in names:
            nifti(anat_path(root, subject, f"ses-{session}", f"{tail}.nii.gz"))
    (root / subject / f"{subject}_sessions.tsv").write_text("\n".join(lines) + "\n")


def release(root: Path) -> Path:
    """Ten normals (two of them twins), an abnormal pair of twins of which one is normal, and the rest."""
    for index in range(8):
        infant(root, f"CC0010{index}XX01", (f"{1000 + index}", "40.5", "1"))
    infant(root, "CC00087AN14", ("38800", "35.1", "1"), ("38801", "41.2", "1"), sex="Female")
    infant(root, "CC00087BN14", ("38900", "41.2", "1"))
    infant(root, "CC00200AN01", ("2000", "42", "5"))
    infant(root, "CC00200BN01", ("2001", "42", "1"))
    infant(root, "CC00300XX01", ("3000", "39.3", "3"))
    infant(root, "CC00301XX01", ("3001", "39.3", "Q"))
    infant(root, "CC00302XX01", ("3002", "39.3", "n/a"))
    infant(root, "CC00303XX01", ("3003", "36", "1"), ("3004", "44", "5"))
    return root


def split_of(cohort: Cohort) -> dict[str, str | None]:
    return {e.scan.subject: e.scan.split for e in cohort.entries if e.left_out == ""}


def test_release_is_split_by_score_subject_and_family(tmp_path: Path) -> None:
    root = release(tmp_path / "dhcp_anat_pipeline")
    cohort = import_cohort(root, SplitSettings(train=6, validation=2))
    assert [(split, cohort.count(split, 1), cohort.count(split, 5)) for split in ("train", "validation")] == [
        ("train", 6, 0),
        ("validation", 2, 0),
    ]
    # Of 10 normals free to draw 8 are drawn; the abnormal twin's sibling joins the other two.
    assert (cohort.count("test", 1), cohort.count("test", 5)) == (3, 2)
    assert not cohort.given
    assert cohort.notes[0] == "the 3 normals that are in neither train nor validation are test normals"
    splits = split_of(cohort)
    assert splits["sub-CC00200AN01"] == splits["sub-CC00200BN01"] == "test"
    assert splits["sub-CC00087AN14"] == splits["sub-CC00087BN14"]
    reasons = {(e.scan.subject, e.scan.session): e.left_out for e in cohort.entries if e.left_out}
    assert reasons == {
        ("sub-CC00087AN14", "ses-38800"): "earlier session than ses-38801",
        ("sub-CC00300XX01", "ses-3000"): "radiology score 3",
        ("sub-CC00301XX01", "ses-3001"): "radiology score Q (poor image quality)",
        ("sub-CC00302XX01", "ses-3002"): "no radiology score",
        ("sub-CC00303XX01", "ses-3003"): "earlier session than ses-3004",
    }
    assert all(e.scan.split is None for e in cohort.entries if e.left_out)
    twin = next(e.scan for e in cohort.entries if e.scan.session == "ses-38801")
    assert twin.path.name == "sub-CC00087AN14_ses-38801_T2w.nii.gz"
    assert twin.mask is not None
    assert twin.mask.name == "sub-CC00087AN14_ses-38801_desc-brain_mask.nii.gz"
    assert twin.segmentation is not None
    assert twin.segmentation.name == "sub-CC00087AN14_ses-38801_desc-drawem9_dseg.nii.gz"
    assert twin.t1w is not None
    assert twin.t1w.name == "sub-CC00087AN14_ses-38801_desc-restore_space-T2w_T1w.nii.gz"
    assert (twin.age, twin.sex, twin.family) == (41.2, "Female", "sub-CC00087AN14")


def test_scores_2_to_4_join_the_test_split_when_asked(tmp_path: Path) -> None:
    root = release(tmp_path)
    cohort = import_cohort(root, SplitSettings(6, 2, include=(3,)))
    assert split_of(cohort)["sub-CC00300XX01"] == "test"
    assert cohort.count("test", 3) == 1
    with pytest.raises(BidsError, match="--include 5: expected a radiology score of 2, 3 or 4"):
        SplitSettings(include=(5,))


def test_draw_follows_the_seed_and_not_the_order(tmp_path: Path) -> None:
    scans = [Scan(f"sub-{i:02d}", "ses-1", Path("x"), radiology_score=1) for i in range(30)]
    one = draw(scans, SplitSettings(20, 5, seed=3))
    assert one == draw(scans[::-1], SplitSettings(20, 5, seed=3))
    assert one != draw(scans, SplitSettings(20, 5, seed=4))
    assert sorted(one.values()) == ["test"] * 5 + ["train"] * 20 + ["validation"] * 5


@pytest.mark.parametrize("seed", range(20))
def test_families_never_straddle_whatever_the_seed(seed: int) -> None:
    scans = [
        Scan(f"sub-{i:02d}", "ses-1", Path("x"), radiology_score=5 if i == 7 else 1, family=f"f{i // 3}")
        for i in range(30)
    ]
    splits = draw(scans, SplitSettings(0.5, 0.2, seed))
    for family in range(10):
        assert len({splits[f"sub-{i:02d}"] for i in range(3 * family, 3 * family + 3)}) == 1
    assert splits["sub-06"] == "test"
    # 27 free: half is 14 (banker's 13.5) and a fifth 5, of which families of three fill 12 and 3.
    assert list(splits.values()).count("train") == 12
    assert list(splits.values()).count("validation") == 3


def test_shortfall_by_whole_families_is_told(tmp_path: Path) -> None:
    for index in range(3):
        infant(tmp_path, f"CC0010{index}AN01", (f"{index}1", "40", "1"))
        infant(tmp_path, f"CC0010{index}BN01", (f"{index}2", "40", "1"))
    cohort = import_cohort(tmp_path, SplitSettings(3, 2))
    assert [cohort.count(split) for split in ("train", "validation", "test")] == [2, 2, 2]
    assert "2 in train instead of 3: families are kept whole" in cohort.notes
    assert any("no scan with radiology score 5" in note for note in cohort.notes)


def test_family_column_names_a_family_a_mother_or_the_twin(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tradiology_score\tmother\n"
        "sub-a\t1\tm1\nsub-b\t1\tm1\nsub-c\t1\tsub-d\nsub-d\t5\tn/a\nsub-e\t1\tn/a\nsub-f\t1\tn/a\n"
    )
    for letter in "abcdef":
        nifti(anat_path(tmp_path, f"sub-{letter}", "ses-1"))
    cohort = import_cohort(tmp_path, SplitSettings(2, 1, seed=1), "mother")
    family = {e.scan.subject: e.scan.family for e in cohort.entries}
    assert family == {
        "sub-a": "sub-a",
        "sub-b": "sub-a",
        "sub-c": "sub-c",
        "sub-d": "sub-c",
        "sub-e": "sub-e",
        "sub-f": "sub-f",
    }
    splits = split_of(cohort)
    assert splits["sub-a"] == splits["sub-b"]
    assert splits["sub-c"] == "test"  # its twin is abnormal


def test_a_flag_is_no_family() -> None:
    scans = [Scan(f"sub-{i:02d}", "ses-1", Path("x"), family="yes") for i in range(11)]
    with pytest.raises(BidsError, match=r"family of 11 subjects .* expected at most 10"):
        families(scans)


def test_latest_session_needs_ages() -> None:
    one, two = (Scan("sub-a", f"ses-{i}", Path("x"), age=40.0 + i) for i in (1, 2))
    assert latest([two, one]) is two
    with pytest.raises(BidsError, match=r"sub-a_sessions\.tsv: ses-1 has no scan_age"):
        latest([replace(one, age=None), two])
    with pytest.raises(BidsError, match="ses-1 and ses-2 both at 42 weeks"):
        latest([replace(one, age=42.0), two])


def test_splits_of_the_data_set_are_kept(tmp_path: Path) -> None:
    rows = ["sub-a\t1\ttrain\tf", "sub-b\t1\tvalidation\tg", "sub-c\t5\ttest\th"]
    table = tmp_path / "participants.tsv"
    table.write_text("\n".join(["participant_id\tradiology_score\tsplit\tfamily", *rows]) + "\n")
    for letter in "abc":
        nifti(anat_path(tmp_path, f"sub-{letter}", "ses-1"))
    cohort = import_cohort(tmp_path, SplitSettings())
    assert cohort.given
    assert split_of(cohort) == {"sub-a": "train", "sub-b": "validation", "sub-c": "test"}
    redrawn = import_cohort(tmp_path, SplitSettings(1, 1, redraw=True))
    assert not redrawn.given
    table.write_text(table.read_text().replace("\tg\n", "\tf\n"))
    with pytest.raises(BidsError, match="sub-a in train and sub-b in validation are of one family"):
        import_cohort(tmp_path, SplitSettings(), "family")
    table.write_text(table.read_text().replace("5\ttest", "5\ttrain"))
    with pytest.raises(BidsError, match="sub-c: split train with radiology score 5; expected test"):
        import_cohort(tmp_path, SplitSettings())
    table.write_text(table.read_text().replace("5\ttrain", "5\tn/a"))
    with pytest.raises(BidsError, match="sub-c: split is n/a; expected one of train, validation, test"):
        import_cohort(tmp_path, SplitSettings())


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("radiology_score", "score", "no scan with a radiology_score; expected that column"),
        (
            "\t1\t0",
            "\tnormal\t0",
            r"sub-CC1XX1_sessions\.tsv: .* radiology_score is 'normal'; expected 1 to 5",
        ),
        ("\t40\t", "\tforty\t", r"sub-CC1XX1_sessions\.tsv: .* scan_age is 'forty'; expected a number"),
        ("\t40\t", "\t280\t", "age 280; expected postmenstrual weeks, 20 to 60"),
        ("\t40\t", "\tinf\t", "scan_age is 'inf'; expected a number"),
        ("session_id", "session", r"sub-CC1XX1_sessions\.tsv: columns \['session', .*expected session_id"),
    ],
)
def test_wrong_tables_name_file_found_and_expected(tmp_path: Path, old: str, new: str, text: str) -> None:
    infant(tmp_path, "CC1XX1", ("1", "40", "1"))
    table = tmp_path / "sub-CC1XX1" / "sub-CC1XX1_sessions.tsv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(BidsError, match=text):
        import_cohort(tmp_path, SplitSettings(1, 1))


def test_too_few_normals_and_no_scans(tmp_path: Path) -> None:
    root = release(tmp_path / "a")
    with pytest.raises(BidsError, match=r"10 normals to draw from .* expected 89 or more for --train 80"):
        import_cohort(root, SplitSettings())
    with pytest.raises(BidsError, match=r"--train 2\.5: expected a whole number, or a fraction"):
        import_cohort(root, SplitSettings(train=2.5))
    (tmp_path / "b").mkdir()
    with pytest.raises(BidsError, match="b: no T2w scan; expected sub-"):
        import_cohort(tmp_path / "b", SplitSettings())


def test_participants_without_a_scan_are_told(tmp_path: Path) -> None:
    root = release(tmp_path)
    with (root / "participants.tsv").open("a") as stream:
        stream.write("CC00999XX09\tMale\t40\t3\tS\n")
    cohort = import_cohort(root, SplitSettings(0.6, 0.2))
    assert cohort.count("train") == 6
    assert cohort.notes[0].startswith(
        "participants.tsv: 1 subjects without a T2w scan, such as sub-CC00999XX09"
    )
