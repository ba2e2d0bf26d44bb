import numpy as np
import pytest

from core.demo.template import (
    TISSUE_ML,
    Field,
    cerebellum,
    deep_grey,
    myelin,
    soft_step,
    template,
    tentorium_height,
)


def points(*mni):
    return tuple(np.array(axis, np.float32) for axis in zip(*mni, strict=True))


def test_field_interpolates_between_voxels_in_millimetres():
    data = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    field = Field(data, np.array([10.0, -20.0, 5.0]), 2.0)
    # Voxel (0, 1, 2) is 6 and lies at (10, -18, 9); half a step in x adds half of 12.
    assert field.at(points((10, -18, 9), (11, -18, 9))).tolist() == [6.0, 12.0]
    # Beyond the grid the edge value holds.
    assert field.at(points((-50, -20, 5))).tolist() == [0.0]


def test_tissue_of_the_template():
    maps = template()
    ml = (maps.grey.data.sum(dtype=float) + maps.white.data.sum(dtype=float)) / 1000
    assert ml == pytest.approx(TISSUE_ML, rel=0.005)


def test_distances_are_negative_inside_and_grow_by_millimetres():
    maps = template()
    inside, outside = (
        maps.ventricle.at(points((7, 18, 10), (-7, 18, 10))),
        maps.ventricle.at(points((40, 0, 40))),
    )
    assert (inside < 0).all()
    assert outside[0] > 20
    # Above the vertex the hull's distance grows 10 mm in 10 mm.
    near, far = maps.hull.at(points((0, -20, 90), (0, -20, 100)))
    assert far - near == pytest.approx(10, abs=1)
    # The skull bridges hollows of the brain's surface (voxels of 2 mm): no brain stands outside it.
    assert maps.head.data[maps.hull.data < 0].max() < 2
    assert (maps.head.data < 0).sum() > (maps.hull.data < 0).sum()


def test_third_ventricle_and_cisterns_are_no_lateral_ventricle():
    assert (template().ventricle.at(points((0, -10, 0), (0, -40, 5), (30, 15, -15))) > 0).all()


def test_tentorium_is_a_ridge():
    # Apex over (0, -50): 2 mm; one decay length (18 mm) aside: -22 + 24 / e.
    heights = tentorium_height(np.array([0, 18, -18]), np.array([-50, -50, -50]))
    assert heights == pytest.approx([2, -22 + 24 / np.e, -22 + 24 / np.e])


def test_regions_lie_where_textbooks_put_them_and_mirror():
    thalamus, putamen, centrum = (12, -18, 7), (26, 2, 2), (28, -20, 35)
    deep, _ = deep_grey(points(thalamus, putamen, centrum))
    assert deep[0] > 0.95
    assert deep[1] > 0.9
    assert deep[2] < 0.01
    limb, anterior = (22, -17, 8), (16, 8, 8)
    here = myelin(points(limb, anterior, centrum), np.zeros(3, np.float32))
    assert here[0] > 0.9
    assert (here[1:] < 0.1).all()
    assert cerebellum(points((20, -65, -35), (20, -80, 5))) == pytest.approx([1, 0], abs=0.01)
    for region in (lambda p: deep_grey(p)[0], cerebellum, lambda p: myelin(p, np.ones(2, np.float32))):
        left, right = region(points((-15, -20, 5), (15, -20, 5)))
        assert left == right


def test_soft_step_passes_one_half_at_zero():
    assert soft_step(np.array([-9.0, 0.0, 9.0], np.float32), 1.0) == pytest.approx([0, 0.5, 1], abs=1e-6)
