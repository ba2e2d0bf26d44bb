"""Brain masks: given, stripped, by command, by BET; and each refusal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.config import settings
from core.io.volume import Volume
from core.preprocess import brain
from core.preprocess.brain import brain_mask, largest_component, plausible, stripped_mask
from core.preprocess.errors import PrepareError
from core.preprocess.register import dice
from core.preprocess.resample import bounding_box
from tests.core.preprocess.phantom import centred, grid, phantom

SHAPE = (62, 76, 66)
AFFINE = centred(SHAPE, 2.0 * np.eye(3))
BRAIN_ML = 4 / 3 * np.pi * 44 * 54 * 42 / 1000  # 418


@pytest.fixture
def head() -> tuple[Volume, Volume]:
    """Brain, a dark gap (skull) and a bright scalp in noise."""
    scan, mask = phantom(SHAPE, AFFINE)
    radius = np.sqrt(((grid(SHAPE, AFFINE) / np.array([44, 54, 42])) ** 2).sum(axis=-1))
    data = scan.data.copy()
    data[(radius > 1) & (radius <= 1.12)] = 12
    data[(radius > 1.12) & (radius <= 1.28)] = 75
    return scan.with_data(np.abs(data + np.random.default_rng(0).normal(0, 2, SHAPE))), mask


@pytest.fixture
def extractor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Script that stands for the user's command; tests write its body."""
    script = tmp_path / "my extractor.py"
    monkeypatch.setenv("FONTANELLE_BRAIN_EXTRACTOR", f"{sys.executable} '{script}' -i {{image}} -m {{mask}}")
    settings.cache_clear()
    yield script
    settings.cache_clear()


def never(_: np.ndarray) -> float:
    raise AssertionError("no candidate should be judged")


def test_given_mask_comes_first(head: tuple[Volume, Volume]) -> None:
    scan, mask = head
    found, source = brain_mask(scan, mask, "auto", never)
    assert source == "given"
    assert np.array_equal(found, mask.data > 0)


def test_stripped_scan_is_left_alone(head: tuple[Volume, Volume]) -> None:
    scan, mask = head
    stripped = scan.data * mask.data
    stripped[30:33, 40:43, 30:33] = 0  # a hole in the brain, and a speck outside it
    stripped[2, 2, 2] = 50
    found, source = brain_mask(
        scan.with_data(stripped), None, "auto", lambda candidate: dice(candidate, mask.data)
    )
    assert source == "stripped"
    assert np.array_equal(found, mask.data > 0)


def bare_head(head: tuple[Volume, Volume], semi_axes: float) -> Volume:
    """The head on a wider grid, its background zeroed as some scanners do; brain's semi-axes are 1."""
    wide = tuple(n + 40 for n in SHAPE)
    affine = AFFINE.copy()
    affine[:3, 3] -= 20 * 2.0
    radius = np.sqrt(((grid((wide[0], wide[1], wide[2]), affine) / np.array([44, 54, 42])) ** 2).sum(axis=-1))
    return Volume(np.where(radius <= semi_axes, np.pad(head[0].data, 20, mode="edge"), 0), affine)


@pytest.mark.parametrize(
    ("semi_axes", "overlap", "text"),
    [
        (1.28, 1.0, r"mask \(stripped\): 87\d ml; expected 150 to 700 ml"),
        (1.1, 0.83, r"mask \(stripped\): overlap 0\.83 with the reference; expected 0\.9 or more"),
    ],
)
def test_head_on_zero_background_is_not_stripped(
    head: tuple[Volume, Volume],
    semi_axes: float,
    overlap: float,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = bare_head(head, semi_axes)
    assert stripped_mask(scan.data) is not None
    monkeypatch.setattr(brain, "bet_mask", lambda *_: scan.data > 1000)
    assert brain_mask(scan, None, "auto", lambda _: overlap)[1] == "bet"
    with pytest.raises(PrepareError, match=text):
        brain_mask(scan, None, "stripped", lambda _: overlap)


@pytest.mark.parametrize(("share", "stripped"), [(0.0, False), (0.34, True), (0.7, True), (0.71, False)])
def test_what_counts_as_stripped(share: float, stripped: bool) -> None:
    data = np.zeros((10, 20, 30))
    data.ravel()[: round(share * data.size)] = 5  # up to the border
    assert (stripped_mask(data) is not None) is stripped


def cut(scan: Volume, inside: np.ndarray, margin: int) -> tuple[Volume, np.ndarray]:
    """Scan and mask on the mask's box and ``margin`` voxels around it."""
    box = bounding_box(inside, margin)
    affine = scan.affine.copy()
    affine[:3, 3] = scan.affine[:3] @ [*(axis.start for axis in box), 1.0]
    return Volume(scan.data[box], affine), inside[box]


@pytest.mark.parametrize("margin", [0, 1, 2])
def test_stripped_scan_cut_to_its_brain_is_left_alone(head: tuple[Volume, Volume], margin: int) -> None:
    scan, inside = cut(head[0].with_data(head[0].data * head[1].data), head[1].data > 0, margin)
    assert inside.mean() > 1 / 3
    assert inside[0].any() == (margin == 0)
    found, source = brain_mask(scan, None, "auto", lambda candidate: dice(candidate, inside))
    assert source == "stripped"
    assert np.array_equal(found, inside)


def test_head_cut_to_its_brain_is_not_stripped(
    head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bare_head(head, 1.15)
    scan, inside = cut(whole, np.pad(head[1].data > 0, 20), 2)
    assert stripped_mask(scan.data) is not None
    monkeypatch.setattr(brain, "bet_mask", lambda *_: inside)
    # Without its face a head may fit as well as a brain: the skull tells.
    found, source = brain_mask(scan, None, "auto", lambda _: 0.95)
    assert (source, np.array_equal(found, inside)) == ("bet", True)
    # What the user has told holds, as far as it fits.
    assert brain_mask(scan, None, "stripped", lambda _: 0.95)[1] == "stripped"
    with pytest.raises(PrepareError, match=r"mask \(stripped\): overlap 0\.85 with the reference"):
        brain_mask(scan, None, "stripped", lambda _: 0.85)


def test_command_makes_the_mask(head: tuple[Volume, Volume], extractor: Path) -> None:
    scan, mask = head
    extractor.write_text(
        "import sys, nibabel as nib, numpy as np\n"
        "image = nib.load(sys.argv[sys.argv.index('-i') + 1])\n"
        "index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing='ij'), -1)\n"
        "mm = index @ image.affine[:3, :3].T + image.affine[:3, 3]\n"
        "inside = ((mm / [44, 54, 42]) ** 2).sum(-1) <= 1\n"
        "nib.save(nib.Nifti1Image(inside.astype('u1'), image.affine), sys.argv[sys.argv.index('-m') + 1])\n"
    )
    # Stored left first: the command sees the file as stored, the mask comes back in RAS+.
    found, source = brain_mask(Volume(scan.data, scan.affine, ("L", "A", "S")), None, "auto", never)
    assert source == "command"
    assert np.array_equal(found, mask.data > 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import sys; sys.exit('licence not found')", r"ended with code 1: licence not found"),
        ("", r"left no usable mask: mask\.nii\.gz: no such file"),
        (
            "import sys, shutil; shutil.copy(sys.argv[2], sys.argv[4])",
            r"left no usable mask: mask\.nii\.gz: .* expected a mask of 0 and one positive value",
        ),
        ("import time; time.sleep(60)", r"took over 1 s"),
    ],
)
def test_command_that_fails(
    head: tuple[Volume, Volume], extractor: Path, body: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor.write_text(body)
    if "sleep" in body:
        monkeypatch.setattr(brain, "COMMAND_SECONDS", 1)
    with pytest.raises(PrepareError, match=r"mask \(command\): .*" + text):
        brain_mask(head[0], None, "command", never)


def test_command_that_is_no_command(head: tuple[Volume, Volume]) -> None:
    with pytest.raises(PrepareError, match=r"no command is set; expected FONTANELLE_BRAIN_EXTRACTOR"):
        brain_mask(head[0], None, "command", never)
    with pytest.raises(PrepareError, match=r"'bet a b'; expected \{image\} and \{mask\} in it"):
        brain.command_mask(head[0], "bet a b")
    with pytest.raises(PrepareError, match=r"can't start '/no/such' \(No such file or directory\)"):
        brain.command_mask(head[0], "/no/such {image} {mask}")


def test_placeholders_reach_no_shell(head: tuple[Volume, Volume], tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="no usable mask"):
        brain.command_mask(head[0], f"echo {{image}} {{mask}} ; touch {tmp_path / 'owned'}")
    assert not (tmp_path / "owned").exists()


def test_bet_finds_the_brain(
    head: tuple[Volume, Volume], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, mask = head
    monkeypatch.setattr(brain, "BET_THRESHOLDS", (0.9,))
    found, source = brain_mask(scan, None, "auto", lambda candidate: dice(candidate, mask.data))
    assert source == "bet"
    assert dice(found, mask.data) > 0.9
    assert "Iteration" not in capfd.readouterr().out


def ball(radius_mm: float) -> np.ndarray:
    return np.linalg.norm(grid(SHAPE, AFFINE), axis=-1) <= radius_mm


def test_bet_threshold_is_chosen_by_overlap(
    head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 0.9 gives 65 ml (refused), the others 268 to 697 ml; the one of best overlap is taken.
    radii = {0.9: 25.0, 0.8: 40.0, 0.7: 48.0, 0.5: 55.0}
    overlaps = {round(r): o for r, o in ((40.0, 0.85), (48.0, 0.91), (55.0, 0.7))}
    monkeypatch.setattr(brain, "_bet", lambda _, threshold: ball(radii[threshold]))
    monkeypatch.setattr(brain, "peeled", lambda mask, _: mask)
    by_size = {np.count_nonzero(ball(r)): overlaps[round(r)] for r in (40.0, 48.0, 55.0)}
    found, _ = brain_mask(head[0], None, "bet", lambda mask: by_size[np.count_nonzero(mask)])
    assert np.array_equal(found, ball(48.0))


def test_skull_and_scalp_are_peeled_off_a_mask(head: tuple[Volume, Volume]) -> None:
    scan, mask = head
    radius = np.sqrt(((grid(SHAPE, AFFINE) / np.array([44, 54, 42])) ** 2).sum(axis=-1))
    wide = radius <= 1.16  # all of the dark gap and the scalp's inner layer
    wide[30:33, 37:39, 32:34] = True
    bleeding = scan.data.copy()
    bleeding[30:33, 37:39, 32:34] = 10  # dark, deep inside: stays brain
    found = brain.peeled(wide, scan.with_data(bleeding))
    assert dice(wide, mask.data) < 0.85 < 0.97 < dice(found, mask.data)
    assert found[30:33, 37:39, 32:34].all()
    rim = found & (radius > 1)
    assert rim.sum() < 0.01 * found.sum()


def test_bet_stops_at_a_good_overlap(head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def once(_: Volume, threshold: float) -> np.ndarray:
        tried.append(threshold)
        return ball(45.0)

    monkeypatch.setattr(brain, "_bet", once)
    brain_mask(head[0], None, "bet", lambda _: 0.96)
    assert tried == [0.8]


def test_no_plausible_brain_is_an_error(head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    radii = {0.9: 25.0, 0.8: 58.0, 0.7: 45.0, 0.5: 58.0}
    monkeypatch.setattr(brain, "_bet", lambda _, threshold: ball(radii[threshold]))
    monkeypatch.setattr(brain, "peeled", lambda mask, _: mask)
    text = (
        r"no plausible brain found \(mask \(BET 0\.8\): 8\d\d ml; expected 150 to 700 ml; "
        r"mask \(BET 0\.7\): overlap 0\.30; expected 0\.8 or more; mask \(BET 0\.9\): 65 ml; .*"
        r"give a mask beside the scan or set FONTANELLE_BRAIN_EXTRACTOR"
    )
    with pytest.raises(PrepareError, match=text):
        brain_mask(head[0], None, "auto", lambda _: 0.3)


def test_scan_without_a_brain_that_is_negative_says_so(
    head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brain, "_bet", lambda *_: ball(25.0))
    shifted = head[0].with_data(head[0].data - np.percentile(head[0].data, 30))
    text = r"^mask: no plausible brain found; 30% of the scan is negative, expected a magnitude image \("
    with pytest.raises(PrepareError, match=text):
        brain_mask(shifted, None, "bet", never)


def test_pieces_are_refused(head: tuple[Volume, Volume]) -> None:
    two = np.zeros((10, 12, 14), bool)
    two[1:4, 1:5, 1:6] = True  # 60 voxels
    two[6:8, 6:8, 6:11] = True  # 20
    largest, share = largest_component(two)
    assert (int(largest.sum()), share) == (60, 0.75)
    with pytest.raises(
        PrepareError, match=r"mask \(bet\): in pieces, the largest holds 75%; expected one brain"
    ):
        plausible(two, head[0], "bet")
    _, mask = head
    assert np.count_nonzero(plausible(mask.data > 0, mask, "bet")) * 8 / 1000 == pytest.approx(
        BRAIN_ML, rel=0.02
    )


def test_methods_that_can_not_be_followed(head: tuple[Volume, Volume]) -> None:
    scan, mask = head
    with pytest.raises(
        PrepareError, match="mask: 'hd-bet'; expected one of auto, given, stripped, bet, command"
    ):
        brain_mask(scan, mask, "hd-bet", never)
    with pytest.raises(PrepareError, match="mask: none came with the scan"):
        brain_mask(scan, None, "given", never)
    with pytest.raises(PrepareError, match=r"scan is not stripped, 100% of its voxels are non-zero"):
        brain_mask(scan, None, "stripped", never)
