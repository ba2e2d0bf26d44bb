"""The files of a folder or zip, read into memory; nothing is unpacked to disk."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from core.io.checks import VolumeError

MAX_BYTES = 2 * 2**30  # unpacked, all files together
MAX_FILES = 20_000
# Reads the first bytes of one file; all without a number. Names stay out: they can hold patients' names.
Reader = Callable[[int], bytes]
# bzip2 and LZMA can grow a few bytes to gigabytes in one step, which no limit sees in time.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(source: Path) -> Iterator[list[Reader]]:
    """One reader a file of the folder or .zip ``source``, by name; a zip stays open within the block.

    Raises
    ------
    VolumeError
        Where it is neither, has too many or too large files, or a zip is broken, encrypted, or has names that
        lead out of its folder. A zip's sizes are those in its directory; no more than these are unpacked.
    """
    source = Path(source)
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        _check_sizes(source.name, [path.stat().st_size for path in paths])
        yield [partial(_read_file, path) for path in paths]
        return
    if not source.is_file():
        raise VolumeError(f"{source.name}: no such file or folder; expected a folder or .zip of DICOM files")
    if not zipfile.is_zipfile(source):
        raise VolumeError(f"{source.name}: no zip file; expected a folder or .zip of DICOM files")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise VolumeError(f"{source.name}: broken zip ({error}); expected a whole one") from error
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        for info in members:
            _check_member(source.name, info)
        _check_sizes(source.name, [info.file_size for info in members])
        members.sort(key=lambda info: info.filename)
        yield [partial(_read_member, source.name, archive, info) for info in members]


def _check_member(name: str, info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or re.match("[A-Za-z]:", info.filename):
        raise VolumeError(f"{name}: a file in the zip has an absolute path or '..'; expected relative names")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise VolumeError(f"{name}: a file in the zip is a link; expected files only")
    if info.flag_bits & 0x1:
        raise VolumeError(f"{name}: encrypted zip; expected one without a password")
    if info.compress_type not in _PACKED:
        raise VolumeError(f"{name}: zip method {info.compress_type}; expected stored or deflated files")


def _check_sizes(name: str, sizes: Sequence[int]) -> None:
    if len(sizes) > MAX_FILES:
        raise VolumeError(f"{name}: {len(sizes)} files; expected at most {MAX_FILES}")
    if sum(sizes) > MAX_BYTES:
        raise VolumeError(
            f"{name}: {sum(sizes) / 2**30:.1f} GB unpacked; expected at most {MAX_BYTES / 2**30:.1f} GB"
        )


def _read_file(path: Path, count: int = -1) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)


def _read_member(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int = -1) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(count)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise VolumeError(f"{name}: a file in the zip is broken ({type(error).__name__})") from error
