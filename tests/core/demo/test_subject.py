from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.demo.lesions import SIGN
from core.demo.subject import ORIENTATIONS, DemoError, DemoSettings, make_subject, make_t1w, spec_of

COARSE = DemoSettings(train=2, validation=1, test_normal=2, test_abnormal=2, coarsen=2.0)


def test_the_demo_has_the_papers_splits_and_every_lesion():
    settings = DemoSettings()
    specs = [spec_of(n, settings) for n in range(1, settings.count + 1)]
    assert Counter((s.split, s.radiology_score) for s in specs) == {
        ("train", 1): 80,
        ("validation", 1): 9,
        ("test", 1): 12,
        ("test", 5): 12,
    }
    assert {plan.kind for s in specs for plan in s.plans} == set(SIGN)
    assert all(36 <= s.age <= 44 for s in specs)
    ages = [s.age for s in specs]
    assert min(ages) < 37.5
    assert max(ages) > 42.5
    assert {s.sex for s in specs} == {"F", "M"}
    # Numbers don't tell who is ill.
    ill = [s.number for s in specs if s.plans]
    assert ill != list(range(min(ill), min(ill) + 12))
    assert (specs[0].subject, specs[0].session) == ("sub-synth001", "ses-01")


def test_same_seed_same_voxels():
    one, two = make_subject(4, COARSE), make_subject(4, COARSE)
    assert np.array_equal(one.volume.data, two.volume.data)
    assert np.array_equal(one.volume.affine, two.volume.affine)
    assert np.array_equal(one.lesions.data, two.lesions.data)
    assert one.findings == two.findings
    other = make_subject(4, replace(COARSE, seed=1))
    assert other.volume.shape != one.volume.shape or not np.array_equal(other.volume.data, one.volume.data)


def test_a_subject_does_not_depend_on_how_many_follow():
    more = replace(COARSE, test_normal=9, test_abnormal=9)
    assert spec_of(2, COARSE) == spec_of(2, more)
    assert np.array_equal(make_subject(2, COARSE).volume.data, make_subject(2, more).volume.data)


def test_subjects_differ_in_size_head_and_scanner():
    made = [make_subject(n, COARSE) for n in (1, 2, 3)]
    assert len({m.volume.shape for m in made}) == 3
    assert len({m.shape for m in made}) == 3
    assert len({m.contrast for m in made}) == 3
    for m in made:
        assert "".join(m.volume.stored) in ORIENTATIONS
        # Oblique: no axis runs exactly along the world's.
        assert (np.abs(m.volume.affine[:3, :3]) > 1e-6).sum() == 9
        assert (m.volume.spacing >= 0.9 * 2 * 0.93 - 1e-9).all()
        assert (m.volume.spacing <= 1.1 * 2 * 1.2 + 1e-9).all()


def test_volumes_grow_with_age_within_newborn_range():
    settings = DemoSettings(train=40, validation=0, test_normal=0, test_abnormal=0, coarsen=2.0)
    specs = sorted((spec_of(n, settings) for n in range(1, 41)), key=lambda s: s.age)
    ml = []
    for spec in (*specs[:2], *specs[-2:]):
        mask = make_subject(spec.number, settings).mask
        ml.append(mask.data.sum() * mask.voxel_volume / 1000)
    # Brain with its fluid spaces.
    assert all(260 < volume < 620 for volume in ml)
    assert np.mean(ml[2:]) > np.mean(ml[:2]) + 50


def test_mask_is_one_piece_well_inside_the_field_of_view():
    made = make_subject(1, COARSE)
    assert set(np.unique(made.mask.data)) == {0.0, 1.0}
    edge = np.ones(made.mask.shape, bool)
    edge[2:-2, 2:-2, 2:-2] = False
    assert not made.mask.data[edge].any()
    inside, outside = made.volume.data[made.mask.data == 1], made.volume.data[made.mask.data == 0]
    assert np.median(inside) > 4 * np.median(outside)


def test_unknown_number_is_refused():
    with pytest.raises(DemoError, match="subject 8: expected 1 to 7"):
        make_subject(8, COARSE)


def test_t1_reverses_the_order_of_tissues():
    settings = DemoSettings(coarsen=2.0)
    t2, t1 = make_subject(1, settings), make_t1w(1, settings)
    inside = t2.mask.data > 0
    assert t1.shape == t2.volume.shape
    assert np.array_equal(t1.affine, t2.volume.affine)
    assert t1.stored == t2.volume.stored
    fluid = inside & (t2.volume.data > np.percentile(t2.volume.data[inside], 97))
    tissue = inside & ~fluid
    assert np.median(t1.data[fluid]) < 0.7 * np.median(t1.data[tissue])
    assert np.corrcoef(t1.data[inside], t2.volume.data[inside])[0, 1] < -0.5
    assert np.array_equal(make_t1w(1, settings).data, t1.data)


def test_t1_shows_the_same_lesions_in_its_own_way():
    settings = DemoSettings(coarsen=2.0)
    tests = [spec_of(number, settings) for number in range(settings.count, 89, -1)]
    alone: dict[str, int] = {spec.plans[0].kind: spec.number for spec in tests if len(spec.plans) == 1}
    for kind, sign in (("infarct", -1), ("punctate_dark", 1), ("punctate_bright", -1)):
        made = make_subject(alone[kind], settings)
        change = make_t1w(alone[kind], settings).data - make_t1w(alone[kind], settings, lesions=False).data
        lesion = made.lesions.data > 0
        assert np.sign(change[lesion].mean()) == sign, kind
        assert np.abs(change[lesion]).mean() > 10 * np.abs(change[~lesion]).mean()
    normal = next(spec.number for spec in tests if not spec.plans)
    assert np.array_equal(make_t1w(normal, settings).data, make_t1w(normal, settings, lesions=False).data)
