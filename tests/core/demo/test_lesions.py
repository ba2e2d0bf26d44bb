import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from core.demo.anatomy import Shape, build
from core.demo.lesions import SIGN, LesionError, Plan, paint_lesions, reshape
from core.demo.subject import FINDINGS, DemoSettings, make_subject, spec_of
from core.io.volume import save_volume

SMALL = DemoSettings(train=1, validation=1, test_normal=0, test_abnormal=12, coarsen=2.0)
SHAPED = {"ventriculomegaly", "volume_loss"}
NUMBERS = {tuple(p.kind for p in spec_of(n, SMALL).plans): n for n in range(3, 15)}


@pytest.fixture(scope="module")
def pairs():
    """Each abnormal subject, with and without its lesions, by what it carries."""
    return {
        kinds: (make_subject(n, SMALL), make_subject(n, SMALL, lesions=False)) for kinds, n in NUMBERS.items()
    }


@pytest.mark.parametrize("kinds", FINDINGS, ids="+".join)
def test_lesion_is_in_the_brain_with_its_sign_and_on_its_side(pairs, kinds):
    made, healthy = pairs[kinds]
    assert {f.type for f in made.findings} == set(kinds)
    assert [f.label for f in made.findings] == list(range(1, len(made.findings) + 1))
    assert np.array_equal(made.mask.data, healthy.mask.data)
    assert not healthy.lesions.data.any()
    change = (made.volume.data - healthy.volume.data) / made.contrast.gain
    for finding in made.findings:
        where = made.lesions.data == finding.label
        assert (made.mask.data[where] == 1).all()
        assert finding.sign == SIGN[finding.type]
        assert finding.sign * change[where].mean() > 0.05
        assert finding.volume_mm3 == pytest.approx(where.sum() * made.volume.voxel_volume, abs=0.06)
        if finding.side != "both":
            assert finding.x_mm < 0 if finding.side == "left" else finding.x_mm > 0


@pytest.mark.parametrize("kinds", [k for k in FINDINGS if not SHAPED & set(k)], ids="+".join)
def test_without_its_lesion_it_is_the_same_scan(pairs, kinds):
    made, healthy = pairs[kinds]
    far = ndimage.distance_transform_edt(made.lesions.data == 0) > 8
    differ = made.volume.data != healthy.volume.data
    assert differ.any()
    # Soft edges reach a little beyond the mask, no further.
    assert not differ[far].any()


@pytest.mark.parametrize("kinds", [("cyst",), ("infarct",), ("germinal_matrix_haemorrhage",)], ids="+".join)
def test_side_holds_in_the_stored_file(pairs, kinds, tmp_path):
    made, _ = pairs[kinds]
    for codes in (("L", "A", "S"), ("P", "I", "L"), ("R", "S", "A")):
        path = tmp_path / f"{''.join(codes)}.nii.gz"
        save_volume(type(made.lesions)(made.lesions.data, made.lesions.affine, codes), path, np.uint8)
        image = nib.Nifti1Image.from_filename(path)
        assert nib.aff2axcodes(image.affine) == codes
        voxels = np.argwhere(np.asanyarray(image.dataobj) == 1)
        x = nib.affines.apply_affine(image.affine, voxels)[:, 0].mean()
        assert (x < 0) == (made.findings[0].side == "left")


def test_sizes_are_those_of_the_literature(pairs):
    def size(kinds):
        return [f.volume_mm3 for f in pairs[kinds][0].findings]

    spots = size(("punctate_bright",))
    assert 3 <= len(spots) <= 5
    # Radius to 3 mm: at most 113 mm³, and a voxel's rounding.
    assert all(4 < volume < 150 for volume in spots)
    assert 100 < size(("cyst",))[0] < 1000
    assert 800 < size(("infarct",))[0] < 13000
    assert 2000 < size(("diffuse_white_matter",))[0] < 25000
    assert size(("ventriculomegaly",))[0] > 5000


def test_haemorrhages_lie_where_they_bleed(pairs):
    matrix = pairs[("germinal_matrix_haemorrhage",)][0]
    tent = pairs[("tentorial_haemorrhage",)][0]
    # Off the midline by 4 to 14 mm beside the ventricle; the tentorium far below it and behind.
    assert 3 < abs(matrix.findings[0].x_mm) < 16
    assert tent.findings[0].z_mm < matrix.findings[0].z_mm - 8
    assert tent.findings[0].y_mm < matrix.findings[0].y_mm - 12


def test_volume_loss_is_on_one_side_only(pairs):
    made, _ = pairs[("volume_loss",)]
    i, j, k = np.nonzero(made.lesions.data)
    x = (made.lesions.affine[:3, :3] @ np.stack([i, j, k]))[0] + made.lesions.affine[0, 3]
    side = np.sign(made.findings[0].x_mm)
    assert (np.sign(x) == side).mean() > 0.9


def test_ventriculomegaly_enlarges_both_ventricles():
    shape = Shape(ventricle=(0.2, -0.3))
    grown = reshape(shape, Plan("ventriculomegaly", "both"), np.random.default_rng(0))
    assert min(grown.ventricle[0] - 0.2, grown.ventricle[1] + 0.3) > 2.5
    assert grown.fluid == shape.fluid
    assert reshape(shape, Plan("cyst", "left"), np.random.default_rng(0)) == shape
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-51, -61, -53]
    before, after = (build(s, (52, 62, 54), affine) for s in (shape, grown))
    assert after.ventricle.sum() > 3 * before.ventricle.sum()


def test_unknown_kind_is_named():
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-51, -61, -53]
    tissues = build(Shape(), (35, 42, 36), affine)
    signal = tissues.volume(tissues.fluid)
    plan = Plan("abscess", "left")  # type: ignore[arg-type]
    with pytest.raises(LesionError, match="abscess: unknown kind; expected one of punctate_bright, "):
        paint_lesions((plan,), tissues, signal, affine, np.random.default_rng(0))


def test_lesion_without_a_place_says_so():
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    # A field of view of the right side only.
    affine[:3, 3] = [15, -61, -53]
    tissues = build(Shape(), (20, 42, 36), affine)
    signal = tissues.volume(tissues.fluid)
    with pytest.raises(LesionError, match="cyst: no voxel of the head fits; expected tissue on that side"):
        paint_lesions((Plan("cyst", "left"),), tissues, signal, affine, np.random.default_rng(0))
