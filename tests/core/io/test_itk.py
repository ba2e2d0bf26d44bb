""".mha and .nrrd: no header opens another file, and each axis keeps its side."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from core.io.itk import read_itk
from core.io.volume import VolumeError, load_volume

SHAPE = (16, 24, 32)
SECRET = np.random.default_rng(5).integers(1, 999, SHAPE).astype("<i2").tobytes(order="F")

MHA = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = 16 24 32\n"
    "ElementType = MET_SHORT\n"
)
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 16 24 32\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n"
)
COMMENTS = "".join(f"Comment = {'x' * 200}\n" for _ in range(400))
REMARKS = "".join(f"# {'x' * 200}\n" for _ in range(400))


@pytest.mark.parametrize(
    ("name", "header", "text"),
    [
        ("a.mha", MHA + "ElementDataFile = {secret}\n", "another file"),
        ("a.mha", MHA + "ElementDataFile : {secret}\n", "another file"),
        ("a.mha", MHA + "ElementDataFile={secret}\n", "another file"),
        ("a.mha", MHA + "ElementDataFile = LIST\n{secret}\n", "another file"),
        (
            "a.mha",
            MHA + COMMENTS + "ElementDataFile = {secret}\n",
            "names no ElementDataFile; .* 65536 bytes",
        ),
        ("a.mha", MHA + COMMENTS + "ElementDataFile = LOCAL\n", "names no ElementDataFile"),
        ("a.mha", MHA, "names no ElementDataFile"),
        ("a.mha", NRRD + "data file: {secret}\n\n", "not an image, no header"),
        ("a.nrrd", NRRD + "data file: {secret}\n\n", "another file"),
        ("a.nrrd", NRRD + "datafile: {secret}\n\n", "another file"),
        ("a.nrrd", NRRD + "Data File: LIST\n{secret}\n\n", "another file"),
        ("a.nrrd", NRRD + REMARKS + "data file: {secret}\n\n", "no end; expected an empty line within 65536"),
        ("a.nrrd", NRRD + REMARKS + "\n", "no end"),
        ("a.nrrd", NRRD + "data file: {secret}\n", "another file"),
        ("a.nrrd", NRRD, "no end"),
        ("a.nrrd", MHA + "ElementDataFile : {secret}\n\n", "not an image, no header"),
    ],
)
def test_no_other_file_is_read(tmp_path: Path, name: str, header: str, text: str) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(SECRET)
    (tmp_path / name).write_text(header.format(secret=secret))
    with pytest.raises(VolumeError, match=name + ": .*" + text):
        load_volume(tmp_path / name)


@pytest.mark.parametrize("end", ["\r", "\v", "\f", "\x1c", "\x85", "\0"])
def test_line_ends_of_other_kinds_hide_nothing(tmp_path: Path, end: str) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(SECRET)
    hidden = {
        "a.mha": MHA + f"Comment = x{end}ElementDataFile = {secret}\nElementDataFile = LOCAL\n",
        "a.nrrd": NRRD + f"content: x{end}data file: {secret}\n\n",
    }
    own = np.arange(np.prod(SHAPE), dtype="<i2")
    for name, header in hidden.items():
        (tmp_path / name).write_bytes(header.encode("latin-1") + own.tobytes())
        data, _ = read_itk(tmp_path / name)
        assert np.array_equal(data.ravel(order="F"), own), name


@pytest.mark.parametrize(
    ("name", "header", "text"),
    [
        ("a.mha", MHA.replace("TransformMatrix", "Comment"), r"no TransformMatrix\); .* left from right"),
        ("a.nrrd", NRRD.replace("space:", "content:"), r"no space or space directions\); .* left from right"),
        (
            "a.nrrd",
            NRRD.replace("space directions: (1,0,0) (0,1,0) (0,0,1)", "spacings: 1 1 1"),
            r"no space or space directions\)",
        ),
        ("a.nrrd", NRRD.replace("left-posterior-superior", "scanner-xyz"), "space is scanner-xyz; expected"),
        (  # ITK reads it with the wrong axis flipped
            "a.nrrd",
            NRRD.replace("posterior", "anterior"),
            "space is left-anterior-superior; expected right-anterior-superior or left-posterior-superior",
        ),
        ("a.nrrd", NRRD + 'space units: "m" "m" "m"\n', 'space units are "m" "m" "m"; expected mm'),
        ("a.mha", MHA + "HeaderSize = -1\n", "HeaderSize is -1; expected voxels right after"),
        ("a.mha", MHA + "DimSize = 9 9 9\n", "DimSize is given twice"),
        ("a.nrrd", NRRD.replace("encoding", "content"), "header lacks encoding"),
    ],
)
def test_headers_that_leave_a_doubt(tmp_path: Path, name: str, header: str, text: str) -> None:
    end = "ElementDataFile = LOCAL\n" if name == "a.mha" else "\n"
    (tmp_path / name).write_bytes((header + end).encode() + SECRET)
    with pytest.raises(VolumeError, match=name + ": .*" + text):
        load_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
    ],
)
def test_space_of_an_nrrd_places_its_voxels(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    header = (
        NRRD.replace("left-posterior-superior", space)
        .replace("(1,0,0) (0,1,0) (0,0,1)", "(0.5,0,0) (0,1,0) (0,0,1.5)")
        .replace("(0,0,0)", "(10,20,30)")
    )
    remark = 'modality:=T2\nspace units: "mm" "mm" "mm"\r\n\r\n'
    (tmp_path / "a.nrrd").write_bytes((header + remark).encode() + SECRET)
    data, affine = read_itk(tmp_path / "a.nrrd")
    assert np.array_equal(data.astype("<i2").tobytes(order="F"), SECRET)
    expected = np.diag([0.5, 1, 1.5, 1])
    expected[:3, 3] = (10, 20, 30)
    assert np.allclose(affine, np.diag([*signs, 1.0]) @ expected)


def test_compressed_mha_with_synonyms_and_remarks(tmp_path: Path) -> None:
    header = (
        MHA.replace("TransformMatrix = 1 0 0 0 1 0 0 0 1", "Orientation : 0 1 0 1 0 0 0 0 1")
        .replace("Offset = 0 0 0", "Position = 1 2 3")
        .replace("ElementSpacing = 1 1 1", "ElementSpacing = 0.5 1 1.5")
    )
    packed = zlib.compress(SECRET)
    tail = f"Remark = a = b : c\nCompressedData = True\nCompressedDataSize = {len(packed)}\n"
    (tmp_path / "a.mha").write_bytes((header + tail + "ElementDataFile = Local\n").encode() + packed)
    data, affine = read_itk(tmp_path / "a.mha")
    assert np.array_equal(data.astype("<i2").tobytes(order="F"), SECRET)
    # First axis 0.5 mm to the back, second 1 mm to the left, as LPS; RAS turns both signs.
    expected = np.array([[0, -1, 0, -1], [-0.5, 0, 0, -2], [0, 0, 1.5, 3], [0, 0, 0, 1]])
    assert np.allclose(affine, expected)
