"""Files of a comparison: on the scan's grid as stored, and telling what they hold."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from app.cases import read_cases
from app.compare.analyses import Analyses, gather
from app.compare.downloads import consensus_zip, difference_zip, table_csv, witnesses_csv
from app.compare.measures import measures
from app.compare.palette import COUNTS
from app.compare.witnesses import drawn, witnesses
from app.review.slices import decode
from app.viewer.volumes import Z_STEP, wire
from core.anomaly.consensus import count_flags
from core.config import settings
from core.io.derivatives import read_regions
from tests.app.compare.conftest import write_many
from tests.casefactory import BRIGHT_LEFT, DARK_RIGHT, ORIENTATIONS, SHAPE


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def image(content: bytes, folder: Path) -> nib.Nifti1Image:
    path = folder / "one.nii.gz"
    path.write_bytes(content)
    return nib.Nifti1Image.from_filename(path)


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_consensus_counts_on_the_scan_as_stored(
    data_dir: Path, tmp_path: Path, stored: tuple[str, str, str]
) -> None:
    root = settings().derivatives_dir
    written = write_many(root, stored=stored)
    analyses = gather(root, written[0].case_id, read_cases(root)[0])
    files = opened(consensus_zip(analyses, "volume", 3.0))
    stem = "sub-many_ses-01_map-volume_desc-consensus"
    assert sorted(files) == sorted(
        f"{stem}{sign}_dseg.{end}" for sign in ("Brighter", "Darker") for end in ("nii.gz", "json", "tsv")
    )
    scan = nib.Nifti1Image.from_filename(analyses.paths.acquired)
    expected = {"Brighter": (BRIGHT_LEFT, 2), "Darker": (DARK_RIGHT, 2)}
    for sign, (block, models) in expected.items():
        found = image(files[f"{stem}{sign}_dseg.nii.gz"], tmp_path)
        assert found.get_data_dtype() == np.uint8
        assert found.shape == scan.shape
        assert np.allclose(found.affine, scan.affine)
        # Back in RAS the block lies where it was put.
        counts = np.asarray(nib.as_closest_canonical(found).dataobj)
        truth = np.zeros(SHAPE, np.uint8)
        truth[block.slices] = models
        assert np.array_equal(counts, truth)


def test_consensus_says_what_it_is(analyses: Analyses) -> None:
    files = opened(consensus_zip(analyses, "normative", 2.5))
    about = json.loads(files["sub-many_ses-01_map-normative_desc-consensusDarker_dseg.json"])
    assert (about["Threshold"], about["Synthetic"], about["Map"]) == (2.5, True, "normative")
    assert [model["Name"] for model in about["Models"]] == ["std_8x8", "vae_8x8_512", "vae_16x16_1024"]
    assert about["Labels"]["2"] == "2 of 3 models flag the voxel"
    assert "not a medical device" in about["Notice"]
    table = files["sub-many_ses-01_map-normative_desc-consensusDarker_dseg.tsv"].decode().splitlines()
    assert table[0].split("\t") == ["index", "name", "color"]
    assert table[3].split("\t") == ["3", "3 of 3 models flag the voxel", COUNTS[-1][2]]
    brighter = files["sub-many_ses-01_map-normative_desc-consensusBrighter_dseg.tsv"].decode().splitlines()
    assert brighter[1].split("\t")[2] == COUNTS[1][0]


@pytest.mark.parametrize("threshold", [2.0, 2.25, 3.0, 3.5, 4.75, 6.0])
def test_the_browser_counts_the_same(analyses: Analyses, threshold: float) -> None:
    """The browser counts raw int8 steps, the download float z: at quarters of an SD they can't differ."""
    rng = np.random.default_rng(3)
    affine = np.eye(4)
    steps, floats = [], []
    for record in analyses.records:
        path = analyses.paths.z(record.model, "volume")
        z = rng.normal(0, 3, SHAPE).astype(np.float32)
        z.ravel()[:6] = np.array([threshold, -threshold, np.nextafter(np.float32(threshold), 0), 7.95, -9, 0])
        nib.save(nib.Nifti1Image(z, affine), path)
        steps.append(decode(wire(analyses.paths, record.model, "z-volume")).astype(np.float32))
        floats.append(z)
    for sign in (1, -1):
        in_browser = count_flags(steps, threshold / Z_STEP, 1 if sign > 0 else -1)
        in_file = count_flags(floats, threshold, 1 if sign > 0 else -1)
        assert in_file.max() == len(analyses.records)
        assert np.array_equal(in_browser, in_file)


def test_difference(analyses: Analyses, tmp_path: Path) -> None:
    files = opened(difference_zip(analyses, "volume", ("vae_8x8_512", "std_8x8")))
    stem = "sub-many_ses-01_map-volume_desc-vae8x8n512Lessstd8x8_zdiff"
    assert sorted(files) == [f"{stem}.json", f"{stem}.nii.gz"]
    values = np.asarray(image(files[f"{stem}.nii.gz"], tmp_path).dataobj)
    truth = np.zeros(SHAPE)
    truth[BRIGHT_LEFT.slices] = 3.25 - 5
    assert np.array_equal(values, truth)
    assert "vae_8x8_512 less signed z of std_8x8" in json.loads(files[f"{stem}.json"])["Description"]


def test_table(analyses: Analyses) -> None:
    rows = [
        row
        for record in analyses.records
        for row in measures(record, read_regions(analyses.paths.regions(record.model)), "volume", None)
    ]
    table = list(csv.DictReader(io.StringIO(table_csv(analyses, rows).decode())))
    assert len(table) == len(rows)
    first = table[0]
    assert (first["case"], first["model"], first["name"]) == ("sub-many_ses-01", "std_8x8", "mse")
    assert float(first["value"]) == 0.02
    assert first["percentile"] == "97.0"
    assert first["model_hash"] == analyses.records[0].model_hash
    assert first["synthetic"] == "1"
    bands = [row for row in table if row["name"] == "percent" and row["model"] == "vae_8x8_512"]
    assert [row["band"] for row in bands] == ["-4", "-4..-3", "-3..-2", "2..3", "3..4", "4"]


def test_witnesses_table(analyses: Analyses) -> None:
    found = witnesses(analyses, "volume", "std_8x8", "vr01")
    region = drawn(analyses.paths, "std_8x8", "volume").regions[0]
    table = list(csv.DictReader(io.StringIO(witnesses_csv(analyses, "std_8x8", region, found).decode())))
    assert [(row["model"], row["flagged"], row["band"]) for row in table] == [
        ("std_8x8", "1", "4+"),
        ("vae_8x8_512", "1", "3-4"),
        ("vae_16x16_1024", "0", ""),
    ]
    assert {row["region"] for row in table} == {"vr01"}
