"""Text headers of .mha and .nrrd, rebuilt from known keys before ITK sees them.

A header can name any file of the machine as the place of its voxels, in more spellings than a list of bad
ones would hold. So what ITK reads is a header of our own: the keys below, and voxels in the same file.
"""

from __future__ import annotations

import re
from pathlib import Path

from core.io.checks import VolumeError

LIMIT = 1 << 16  # bytes within which a header must end

# Synonyms to the name we write, in the order we write them.
_MHA = {
    "ObjectType": "ObjectType",
    "NDims": "NDims",
    "BinaryData": "BinaryData",
    "BinaryDataByteOrderMSB": "BinaryDataByteOrderMSB",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
    "CompressedData": "CompressedData",
    "CompressedDataSize": "CompressedDataSize",
    "TransformMatrix": "TransformMatrix",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "Offset": "Offset",
    "Position": "Offset",
    "Origin": "Offset",
    "ElementSpacing": "ElementSpacing",
    "ElementSize": "ElementSize",
    "DimSize": "DimSize",
    "ElementNumberOfChannels": "ElementNumberOfChannels",
    "ElementType": "ElementType",
}
_NRRD = {
    "type": "type",
    "dimension": "dimension",
    "space": "space",
    "sizes": "sizes",
    "space directions": "space directions",
    "kinds": "kinds",
    "endian": "endian",
    "encoding": "encoding",
    "line skip": "line skip",
    "lineskip": "line skip",
    "byte skip": "byte skip",
    "byteskip": "byte skip",
    "space origin": "space origin",
}
# Spaces that ITK turns to LPS rightly: of left-anterior-superior it flips the wrong axis (antspyx 0.6.3),
# and those without named sides it takes as LPS.
_SPACES = ("right-anterior-superior", "left-posterior-superior", "ras", "lps")
_MM = {"mm", "millimeter", "millimeters"}


def safe_header(path: Path) -> tuple[bytes, int]:
    """A header of known keys alone, and the byte of ``path`` at which the voxels start.

    Raises
    ------
    VolumeError
        Where the header has no end within 64 KiB, lacks a key or has one twice, tells of voxels in
        another file, or does not tell left from right.
    """
    with path.open("rb") as stream:
        head = stream.read(LIMIT)
    return _mha(path.name, head) if path.suffix.lower() == ".mha" else _nrrd(path.name, head)


def _mha(name: str, head: bytes) -> tuple[bytes, int]:
    fields: dict[str, str] = {}
    start, known, place = 0, False, ""
    while place == "":
        end = head.find(b"\n", start)
        if end < 0:
            fault = "its header names no ElementDataFile" if known else "not an image, no header"
            raise VolumeError(
                f"{name}: {fault}; expected .mha with ElementDataFile = LOCAL within {LIMIT} bytes"
            )
        key, *rest = re.split("[=:]", _text(head[start:end]), maxsplit=1)
        key, value = key.strip(), (rest[0].strip() if rest else "")
        start = end + 1
        known = known or key in _MHA
        if key == "ElementDataFile":
            place = value or "nothing"
        elif key == "HeaderSize" and value != "0":
            raise VolumeError(f"{name}: HeaderSize is {value}; expected voxels right after the header")
        elif key in _MHA:
            _add(name, fields, _MHA[key], value)
    if place.upper() != "LOCAL":
        raise VolumeError(
            f"{name}: its voxels lie in another file; expected them in this one, ElementDataFile = LOCAL"
        )
    _require(name, fields, ("NDims", "DimSize", "ElementType"))
    if "TransformMatrix" not in fields:
        raise VolumeError(
            f"{name}: orientation is not set (no TransformMatrix); expected to know left from right"
        )
    lines = [f"{key} = {fields[key]}" for key in dict.fromkeys(_MHA.values()) if key in fields]
    return ("\n".join([*lines, "ElementDataFile = LOCAL"]) + "\n").encode("ascii"), start


def _nrrd(name: str, head: bytes) -> tuple[bytes, int]:
    first = head.find(b"\n")
    magic = head[: max(first, 0)].strip()
    if re.fullmatch(rb"NRRD000[1-5]", magic) is None:
        raise VolumeError(f"{name}: not an image, no header; expected .nrrd")
    fields: dict[str, str] = {}
    start, line = first + 1, "-"
    while line != "":
        end = head.find(b"\n", start)
        if end < 0:
            raise VolumeError(f"{name}: its header has no end; expected an empty line within {LIMIT} bytes")
        line = _text(head[start:end])
        start = end + 1
        if line.startswith("#"):
            continue
        key, _, value = line.partition(":")
        key = " ".join(key.lower().split())
        if key.replace(" ", "") == "datafile":
            raise VolumeError(f"{name}: its voxels lie in another file; expected them in this one")
        if key == "space units" and not set(value.replace('"', " ").lower().split()) <= _MM:
            raise VolumeError(f"{name}: space units are {value.strip()}; expected mm")
        if key in _NRRD and not value.startswith("="):  # key:=value is a remark
            _add(name, fields, _NRRD[key], value.strip())
    _require(name, fields, ("type", "dimension", "sizes", "encoding"))
    if "space" not in fields or "space directions" not in fields:
        raise VolumeError(
            f"{name}: orientation is not set (no space or space directions); expected to know left from right"
        )
    if fields["space"].lower() not in _SPACES:
        raise VolumeError(f"{name}: space is {fields['space']}; expected {' or '.join(_SPACES[:2])}")
    lines = [f"{key}: {fields[key]}" for key in dict.fromkeys(_NRRD.values()) if key in fields]
    return ("\n".join(["NRRD0005", *lines]) + "\n\n").encode("ascii"), start


def _text(raw: bytes) -> str:
    """One line in plain ASCII: no other character can end a line for ITK alone."""
    return re.sub(r"[^\x20-\x7e]", " ", raw.decode("latin-1")).strip()


def _add(name: str, fields: dict[str, str], key: str, value: str) -> None:
    if key in fields:
        raise VolumeError(f"{name}: {key} is given twice; expected it once")
    fields[key] = value


def _require(name: str, fields: dict[str, str], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if fields.get(key, "") == ""]
    if missing:
        raise VolumeError(f"{name}: not an image, its header lacks {', '.join(missing)}; expected them")
