"""Known lesions: found on disk, brought to the cube."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.evaluation.baselines import Cube
from core.evaluation.lesions import Lesions, classes_of, find_lesions, lesions_in_cube
from core.evaluation.statistics import EvaluationError
from core.io.bids import Scan
from core.io.volume import Volume, save_volume
from tests.core.evaluation.fakes import scan

SHAPE = (40, 36, 30)
SPACING = (0.8, 1.0, 1.25)


def labels(stored: tuple[str, str, str] = ("R", "A", "S")) -> Volume:
    """A box of 10 × 10 × 10 mm (label 1) and a single voxel (label 2)."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = [-16, -18, -18]
    data = np.zeros(SHAPE, np.float32)
    x, y, z = (affine[a, 3] + SPACING[a] * np.arange(SHAPE[a]) for a in range(3))
    box = np.ix_((x > -8) & (x < 2), (y > 0) & (y < 10), (z > -10) & (z < 0))
    data[box] = 1
    data[30, 5, 25] = 2
    return Volume(data, affine, stored)


def write(root: Path, volume: Volume, table: str = "") -> Scan:
    one = replace(scan(7, "test", 5), path=root / "sub-07" / "ses-01" / "anat" / "sub-07_ses-01_T2w.nii.gz")
    folder = root / "derivatives" / "lesions"
    save_volume(
        volume, folder / "sub-07" / "ses-01" / "anat" / "sub-07_ses-01_desc-lesion_mask.nii.gz", np.uint8
    )
    if table:
        (folder / "lesions.tsv").write_text("subject\tlabel\ttype\n" + table)
    return one


def cube_of(side: int = 20, shift: tuple[float, float, float] = (0, 0, 0)) -> Cube:
    """2 mm cube over the same head, which the registration moved by ``shift`` mm."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -19
    to_reference = np.eye(4)
    to_reference[:3, 3] = shift
    shape = (side,) * 3
    return Cube(np.ones(shape, np.float32), np.ones(shape, bool), affine, to_reference, "")


def test_lesions_of_a_data_set(tmp_path: Path) -> None:
    sick = write(tmp_path, labels(), "sub-07\t1\tcyst\nsub-07\t2\tspot\nsub-08\t1\tother\n")
    folder = tmp_path / "sub-08" / "ses-01" / "anat"
    well = replace(scan(8, "test", 1), path=folder / "sub-08_ses-01_T2w.nii.gz")
    unknown = replace(scan(9, "test", 5), path=folder / "sub-09_ses-01_T2w.nii.gz")
    found = find_lesions([sick, well, unknown])
    # An abnormal scan without a mask is no scan without a lesion.
    assert set(found) == {"sub-07_ses-01", "sub-08_ses-01"}
    assert found["sub-08_ses-01"] == Lesions(None)
    assert found["sub-07_ses-01"].types == ("cyst", "spot")
    assert found["sub-07_ses-01"].volumes_mm3 == pytest.approx((12 * 9 * 8, 1.0))
    assert len(found["sub-07_ses-01"].hash) == 64
    assert find_lesions([well]) == {}, "no mask anywhere: nothing is known"


def test_types_are_optional_but_whole(tmp_path: Path) -> None:
    sick = write(tmp_path, labels())
    assert find_lesions([sick])["sub-07_ses-01"].types == ("lesion", "lesion")
    write(tmp_path, labels(), "sub-07\t1\tcyst\n")
    with pytest.raises(EvaluationError, match=r"lesions\.tsv: no label 2 of sub-07"):
        find_lesions([sick])


def test_an_empty_mask_says_of_a_normal_that_it_has_no_lesion(tmp_path: Path) -> None:
    heard: list[str] = []
    sick, bare = write(tmp_path, labels()), labels().with_data(np.zeros(SHAPE))
    others = []
    for number, score in ((8, 1), (9, 5)):
        name = f"sub-{number:02d}"
        folder = Path(name) / "ses-01" / "anat"
        others.append(
            replace(scan(number, "test", score), path=tmp_path / folder / f"{name}_ses-01_T2w.nii.gz")
        )
        lesions = tmp_path / "derivatives" / "lesions" / folder
        save_volume(bare, lesions / f"{name}_ses-01_desc-lesion_mask.nii.gz", np.uint8)
    found = find_lesions([sick, *others], heard.append)
    assert set(found) == {"sub-07_ses-01", "sub-08_ses-01"}
    assert found["sub-08_ses-01"] == Lesions(None)
    (told,) = heard
    assert told.startswith("sub-09_ses-01_desc-lesion_mask.nii.gz: empty, though its scan is no normal")
    assert find_lesions(others) == {}, "no lesion anywhere: nothing is known"


def test_labels_with_a_gap_are_refused(tmp_path: Path) -> None:
    volume = labels()
    sick = write(tmp_path, volume.with_data(np.where(volume.data == 2, 3, volume.data)))
    with pytest.raises(EvaluationError, match=r"labels \[0, 1, 3\]; expected 0 and 1 to the number"):
        find_lesions([sick])


@pytest.mark.parametrize("stored", [("R", "A", "S"), ("L", "A", "S"), ("P", "S", "R")])
@pytest.mark.parametrize("shift", [(0, 0, 0), (4, -2, 6)])
def test_labels_lie_where_the_registration_puts_them(
    tmp_path: Path, stored: tuple[str, str, str], shift: tuple[float, float, float]
) -> None:
    known = find_lesions([write(tmp_path, labels(stored))])["sub-07_ses-01"]
    found = lesions_in_cube(known, cube_of(shift=shift))
    places = np.argwhere(found == 1) * 2 - 19
    # The box's centre and extent in the scan's world, moved by the registration.
    np.testing.assert_allclose(places.mean(axis=0), np.array([-3, 5, -5]) + shift, atol=1.0)
    assert 0.7 < len(places) * 8 / (12 * 9 * 8) < 1.4
    assert (found == 2).sum() == 1


def test_a_lesion_too_small_for_a_voxel_stays_and_all_stay_in_the_brain(tmp_path: Path) -> None:
    known = find_lesions([write(tmp_path, labels())])["sub-07_ses-01"]
    cube = cube_of()
    cube.mask[15:] = False
    found = lesions_in_cube(known, cube)
    # The single voxel at x = 8 mm (index 13.5); its world y −13 and z 13.25 are indices 3 and 16.1.
    (place,) = np.argwhere(found == 2)
    assert np.abs(place - [13.5, 3, 16.125]).max() <= 1
    assert not found[~cube.mask].any()
    assert not lesions_in_cube(Lesions(None), cube).any()


def test_classes_are_by_type_and_by_size_in_the_scan() -> None:
    found = classes_of(("cyst", "spot", "cyst"), (99.9, 100.0, 1000.0))
    assert {name: chosen.tolist() for name, chosen in found["type"].items()} == {
        "cyst": [True, False, True],
        "spot": [False, True, False],
    }
    assert {name: chosen.tolist() for name, chosen in found["size"].items()} == {
        "under 100 mm³": [True, False, False],
        "100 to 1000 mm³": [False, True, False],
        "1 ml and more": [False, False, True],
    }
    assert list(classes_of(("cyst",), (5.0,))["size"]) == ["under 100 mm³"]
    assert classes_of((), ()) == {"type": {}, "size": {}}
