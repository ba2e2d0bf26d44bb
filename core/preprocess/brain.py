"""Brain mask: a given one, an already stripped scan, the user's own command, or BET."""

from __future__ import annotations

import contextlib
import io
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import cc3d
import nibabel as nib
import numpy as np
from scipy import ndimage

from core.config import settings
from core.io.volume import Volume, VolumeError, load_mask, save_volume
from core.preprocess.errors import PrepareError
from core.preprocess.resample import index_map, resample

Source = Literal["given", "stripped", "bet", "command"]
METHODS = ("auto", "given", "stripped", "bet", "command")

VERSION = 2  # enters the keys of masks found here; raise it when the same scan gives another mask
STRIPPED_SHARE = 0.7  # a brain fills 0.42 to 0.46 of its own box (six demo scans), an ellipsoid 0.52
ROOMY_SHARE = 1 / 3  # a scan with less, and zeros along its border, is not cut to a head or brain
# Two real fetal and two demo brains, stripped: 0.92 to 0.98; two demo heads on zero background: 0.79, 0.83.
STRIPPED_OVERLAP = 0.9
# What ``peeled`` leaves of a mask: 0.99 of stripped brains (24 demo, two real), 0.81 or more of those under a
# field of 0.3 to 1.7; 0.65 to 0.72 of six demo heads on zero background, whole or cut to the brain's box,
# whose overlap comes as near as 0.89.
STRIPPED_KEPT = 0.8
VOLUME_ML = (150.0, 700.0)  # a newborn's brain, preterm to hydrocephalic
# 8 s each, so the safest first: on two demo heads 0.8 and 0.7 had Dice 0.92 to 0.93 with the true mask;
# 0.9 had 0.75 or failed, and registration made up for its size (overlap 0.92).
BET_THRESHOLDS = (0.8, 0.7, 0.9, 0.5)
GOOD_OVERLAP = 0.92  # no other threshold is tried
LEAST_OVERLAP = 0.8  # no brain-shaped mask registers worse
COMMAND_SECONDS = 600
_BET_MM = 2.0  # grid of the surface search
_BET_PAD = 14  # voxels; the surface looks 20 mm inward and may step outside the head
_SKULL = 0.5  # of the median in BET's mask: what is darker at its rim is skull
_NECK_MM = 3.0  # what hangs on the brain by less is scalp
_WHOLE = 0.95  # share of a mask that its largest component must hold


def brain_mask(
    scan: Volume, given: Volume | None, method: str, overlap: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, Source]:
    """Find the brain of ``scan``.

    Parameters
    ----------
    given : mask that came with the scan, on its grid
    method : "auto" tries given, stripped, command (where ``FONTANELLE_BRAIN_EXTRACTOR`` is set) and BET in
        this order; any other name allows that one alone
    overlap : of a candidate mask (X, Y, Z), the Dice with the reference's mask after registration; it
        tells a stripped scan from a head, and chooses among BET's thresholds

    Returns
    -------
    mask : (X, Y, Z) bool
    source : which way was taken

    Raises
    ------
    PrepareError
        On an unknown method, or where the way asked for gives no plausible brain.
    """
    if method not in METHODS:
        raise PrepareError(f"mask: {method!r}; expected one of {', '.join(METHODS)}")
    if method == "given" and given is None:
        raise PrepareError("mask: none came with the scan; expected one beside it, or another mask method")
    if given is not None and method in ("auto", "given"):
        return given.data > 0, "given"
    if method in ("auto", "stripped"):
        try:
            return _stripped(scan, overlap, told=method == "stripped"), "stripped"
        except PrepareError:
            if method == "stripped":
                raise
    command = settings().brain_extractor
    if method == "command" and command == "":
        raise PrepareError(
            "mask: no command is set; expected FONTANELLE_BRAIN_EXTRACTOR with {image} and {mask}"
        )
    if command != "" and method in ("auto", "command"):
        return plausible(command_mask(scan, command), scan, "command"), "command"
    return bet_mask(scan, overlap), "bet"


def _stripped(scan: Volume, overlap: Callable[[np.ndarray], float], told: bool) -> np.ndarray:
    """Mask of an already stripped scan; a head whose background is zero has scalp and fits less well.

    A scan cut close to what it shows could be a head as well: unless the user has ``told`` that it is
    stripped, there may be no dark skull in it.

    Raises
    ------
    PrepareError
        Where the scan is not stripped, or what is left is no plausible brain or overlaps less than 0.9.
    """
    mask = stripped_mask(scan.data)
    if mask is None:
        raise PrepareError(
            f"mask: scan is not stripped, {np.mean(scan.data != 0):.0%} of its voxels are non-zero; "
            f"expected at most {STRIPPED_SHARE:.0%}"
        )
    mask = plausible(mask, scan, "stripped")
    if not told and not _roomy(scan.data):
        kept = np.count_nonzero(peeled(mask, scan)) / np.count_nonzero(mask)
        if kept < STRIPPED_KEPT:
            raise PrepareError(
                f"mask (stripped): {1 - kept:.0%} of it is skull or scalp; "
                f"expected at most {1 - STRIPPED_KEPT:.0%}"
            )
    found = overlap(mask)
    if found < STRIPPED_OVERLAP:
        raise PrepareError(
            f"mask (stripped): overlap {found:.2f} with the reference; "
            f"expected {STRIPPED_OVERLAP:g} or more where no scalp is left, or another mask method"
        )
    return mask


def _roomy(data: np.ndarray) -> bool:
    """True where most of the grid, and all of its border, is 0."""
    filled = data != 0
    border = [filled[[0, -1]], filled[:, [0, -1]], filled[:, :, [0, -1]]]
    return not any(face.any() for face in border) and bool(filled.mean() <= ROOMY_SHARE)


def stripped_mask(data: np.ndarray) -> np.ndarray | None:
    """Mask of a scan (X, Y, Z) that may be stripped already, 0.7 or less of it non-zero; else None.

    The brain may touch the border. Holes are filled and specks dropped.
    """
    filled = data != 0
    if not 0 < filled.mean() <= STRIPPED_SHARE:
        return None
    largest, _ = largest_component(filled)
    return ndimage.binary_fill_holes(largest)


def largest_component(mask: np.ndarray) -> tuple[np.ndarray, float]:
    """Largest 6-connected component of a bool mask, and its share of the mask's voxels."""
    labels = cc3d.largest_k(mask.astype(np.uint8), k=1, connectivity=6)
    largest = labels > 0
    return largest, float(largest.sum() / max(np.count_nonzero(mask), 1))


def plausible(mask: np.ndarray, scan: Volume, source: str) -> np.ndarray:
    """The mask's largest component, if it can be a newborn's brain.

    Raises
    ------
    PrepareError
        Where it lies in pieces, or is not 150 to 700 ml.
    """
    largest, share = largest_component(mask)
    millilitres = largest.sum() * scan.voxel_volume / 1000
    if share < _WHOLE:
        raise PrepareError(f"mask ({source}): in pieces, the largest holds {share:.0%}; expected one brain")
    if not VOLUME_ML[0] <= millilitres <= VOLUME_ML[1]:
        raise PrepareError(
            f"mask ({source}): {millilitres:.0f} ml; expected {VOLUME_ML[0]:g} to {VOLUME_ML[1]:g} ml"
        )
    return largest


def bet_mask(scan: Volume, overlap: Callable[[np.ndarray], float]) -> np.ndarray:
    """BET (Smith 2002) at several thresholds; the plausible mask that fits the reference best.

    Raises
    ------
    PrepareError
        Where no threshold gives a plausible brain that fits; the text has each one's fault.
    """
    best, best_overlap, faults = None, -1.0, []
    for threshold in BET_THRESHOLDS:
        try:
            mask = plausible(peeled(_bet(scan, threshold), scan), scan, f"BET {threshold:g}")
        except PrepareError as error:
            faults.append(str(error))
            continue
        found = overlap(mask)
        if found < LEAST_OVERLAP:
            faults.append(
                f"mask (BET {threshold:g}): overlap {found:.2f}; expected {LEAST_OVERLAP:g} or more"
            )
        elif found > best_overlap:
            best, best_overlap = mask, found
        if found >= GOOD_OVERLAP:
            break
    if best is None:
        below = float(np.mean(scan.data < 0))
        shifted = f"; {below:.0%} of the scan is negative, expected a magnitude image" if below > 0.01 else ""
        raise PrepareError(
            f"mask: no plausible brain found{shifted} (" + "; ".join(faults) + "); "
            "give a mask beside the scan or set FONTANELLE_BRAIN_EXTRACTOR"
        )
    return best


def peeled(mask: np.ndarray, scan: Volume) -> np.ndarray:
    """A mask without the skull and scalp along its rim, holes filled.

    BET's smooth surface takes some skull in, and its black would rule the min–max scaling of intensities.
    On four demo heads the Dice with the true mask rose from 0.92–0.93 to 0.94–0.98.
    """
    bright = mask & (scan.data > _SKULL * float(np.median(scan.data[mask]))) if mask.any() else mask
    steps = max(1, round(_NECK_MM / float(scan.spacing.mean())))
    cross = ndimage.generate_binary_structure(3, 1)
    inner, _ = largest_component(ndimage.binary_erosion(bright, cross, iterations=steps))
    grown = ndimage.binary_dilation(inner, cross, iterations=steps, mask=bright)
    return cast(np.ndarray, ndimage.binary_fill_holes(grown))


def _bet(scan: Volume, threshold: float) -> np.ndarray:
    """One run of BET on a 2 mm copy; (X, Y, Z) bool on the scan's grid."""
    from brainextractor import BrainExtractor

    coarse_affine = scan.affine.copy()
    coarse_affine[:3, :3] *= _BET_MM / scan.spacing
    shape = tuple(int(np.ceil(n)) for n in np.array(scan.shape) * scan.spacing / _BET_MM)
    sigma = np.maximum(_BET_MM / scan.spacing - 1, 0) / 2
    smooth = ndimage.gaussian_filter(scan.data, sigma)
    to_scan = index_map(scan.affine, coarse_affine, np.eye(4))
    coarse = resample(smooth, to_scan, (shape[0], shape[1], shape[2]))
    padded = np.pad(coarse, _BET_PAD, constant_values=float(coarse.min()))
    # The extractor's percentiles count the whole grid: shift them to mean the unpadded one.
    share = coarse.size / padded.size
    with contextlib.redirect_stdout(io.StringIO()):  # it prints each of its thousand steps
        extractor = BrainExtractor(
            nib.Nifti1Image(padded.astype(np.float64), np.diag([_BET_MM, _BET_MM, _BET_MM, 1])),
            t02t=1 - 0.98 * share,
            t98t=1 - 0.02 * share,
            bt=threshold,
        )
        extractor.run()
        surface = np.asarray(extractor.compute_mask())
    core = surface[_BET_PAD:-_BET_PAD, _BET_PAD:-_BET_PAD, _BET_PAD:-_BET_PAD]
    return resample(core.astype(np.float32), np.linalg.inv(to_scan), scan.shape) >= 0.5


def command_mask(scan: Volume, command: str) -> np.ndarray:
    """Run the user's extractor; ``{image}`` and ``{mask}`` become paths of NIfTI files. No shell is used.

    Raises
    ------
    PrepareError
        Where the command lacks a placeholder, is not found, fails, takes over ten minutes, or leaves no
        usable mask.
    """
    if "{image}" not in command or "{mask}" not in command:
        raise PrepareError(f"mask (command): {command!r}; expected {{image}} and {{mask}} in it")
    with tempfile.TemporaryDirectory(prefix="fontanelle-") as folder:
        image, mask = Path(folder) / "image.nii.gz", Path(folder) / "mask.nii.gz"
        save_volume(scan, image)
        words = [
            word.replace("{image}", str(image)).replace("{mask}", str(mask)) for word in shlex.split(command)
        ]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=COMMAND_SECONDS, check=False
            )
        except OSError as error:
            raise PrepareError(f"mask (command): can't start {words[0]!r} ({error.strerror})") from error
        except subprocess.TimeoutExpired as error:
            raise PrepareError(f"mask (command): {words[0]!r} took over {COMMAND_SECONDS} s") from error
        if done.returncode != 0:
            tail = " ".join((done.stderr or done.stdout).split())[-300:]
            raise PrepareError(f"mask (command): {words[0]!r} ended with code {done.returncode}: {tail}")
        try:
            return cast(np.ndarray, load_mask(mask, scan).data > 0)
        except VolumeError as error:
            raise PrepareError(f"mask (command): {words[0]!r} left no usable mask: {error}") from error
