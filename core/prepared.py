"""Prepared scans on disk: made once per scan, mask, reference and settings, then read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core import __version__
from core.config import settings as environment
from core.folder import Keep, case_lock, claim, keep_nothing, staging, whole
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import Volume, file_hash, load_mask, load_volume, save_volume
from core.preprocess.brain import VERSION as MASK_VERSION
from core.preprocess.channel import VERSION as CHANNEL_VERSION
from core.preprocess.channel import prepare_channel
from core.preprocess.pipeline import (
    ONE_CHANNEL,
    VERSION,
    Prepared,
    PrepareError,
    PrepareSettings,
    Reference,
    prepare,
    read_prepared,
    settings_to_dict,
    write_prepared,
)

SCHEMA = 2
# Whose code decides voxels or labels: another version may give others.
PACKAGES = ("antspyx", "scipy", "brainextractor", "connected-components-3d")
# Step that begins, and the share of the whole that is done (0 to 1).
Progress = Callable[[str, float], None]


def no_progress(step: str, fraction: float) -> None:
    """Tell nobody."""


def content_key(content: Mapping[str, Any]) -> str:
    """SHA-256 of ``content`` as canonical JSON, hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Versions of Fontanelle and of installed packages; nothing is imported."""
    found = {"fontanelle": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def input_hashes(scan: Scan) -> dict[str, str]:
    """SHA-256 of the scan's file and of its mask's (empty without one)."""
    return {"scan": file_hash(scan.path), "mask": file_hash(scan.mask) if scan.mask is not None else ""}


def extractor(inputs: Mapping[str, str], settings: PrepareSettings) -> str:
    """The user's brain extractor, where the mask may come from it; else empty."""
    asked = settings.mask == "command" or (settings.mask == "auto" and inputs["mask"] == "")
    return environment().brain_extractor if asked else ""


def _given(inputs: Mapping[str, str], settings: PrepareSettings) -> bool:
    """True where the mask came with the scan, so that no code of ours decides it."""
    return inputs["mask"] != "" and settings.mask in ("auto", "given")


def prepared_key(
    scan: Scan, inputs: Mapping[str, str], reference: Reference, settings: PrepareSettings
) -> str:
    """Content address of a T2w's preparation: files, reference, settings, and the code that makes it.

    Channels beside it have keys of their own (``channel_key``), so one preparation serves networks of both
    kinds.
    """
    return content_key(
        {
            "schema": SCHEMA,
            "pipeline": VERSION,
            "packages": versions(*PACKAGES),
            **inputs,
            "synthetic": scan.synthetic,  # stands on the QC picture
            "reference": reference.hash,
            "settings": settings_to_dict(replace(settings, channels=ONE_CHANNEL)),
            "brain_extractor": extractor(inputs, settings),
            **({} if _given(inputs, settings) else {"mask_version": MASK_VERSION}),
        }
    )


def channel_file(scan: Scan, channel: str) -> Path:
    """The scan's file of a channel beyond the T2w.

    Raises
    ------
    PrepareError
        Where the scan has none.
    """
    if channel != "T1w" or scan.t1w is None:
        raise PrepareError(
            f"{scan.subject}_{scan.session}: no {channel} scan; expected one beside {scan.path.name}, since "
            f"the network sees T2w and {channel} together"
        )
    return scan.t1w


def channel_key(scan: Scan, channel: str, prepared: str) -> str:
    """Content address of a channel beside the T2w's preparation with key ``prepared``.

    Raises
    ------
    PrepareError
        Where the scan has no such channel.
    """
    image = file_hash(channel_file(scan, channel))
    return content_key({"prepared": prepared, "channel": channel, "image": image, "version": CHANNEL_VERSION})


def channel_keys(scan: Scan, prepared: str, settings: PrepareSettings) -> dict[str, str]:
    """``channel_key`` of each channel beyond the T2w, by name; empty as in the paper."""
    return {channel: channel_key(scan, channel, prepared) for channel in settings.channels[1:]}


def sidecar_of(paths: CasePaths, cube: int, channel: str = "T2w") -> dict[str, Any]:
    """The preparation's sidecar; empty where there is none that can be read."""
    try:
        sidecar = json.loads(paths.prepared_json(cube, channel).read_text())
    except (OSError, ValueError):
        return {}
    return sidecar if isinstance(sidecar, dict) else {}


def stored_key(paths: CasePaths, cube: int, channel: str = "T2w") -> str:
    """Key of the preparation on disk; empty where there is none that can be read."""
    return str(sidecar_of(paths, cube, channel).get("key", ""))


def is_prepared(paths: CasePaths, cube: int, key: str, channel: str = "T2w") -> bool:
    """True where the preparation with this ``key`` is on disk, each file as it was written."""
    sidecar = sidecar_of(paths, cube, channel)
    files = sidecar.get("files")
    return sidecar.get("key") == key and isinstance(files, dict) and whole(paths.folder, files)


def check_prepared(paths: CasePaths, settings: PrepareSettings, reference: str, model: str) -> None:
    """Refuse a preparation on disk that was made with other settings or another reference than a model's.

    One cube size has one place in a case's folder, whichever model it was prepared for last. ``reference``:
    its name or hash; empty for any. What is not prepared at all is left to whoever reads it.

    Raises
    ------
    PrepareError
        Naming the file and what differs.
    """
    for channel in settings.channels:
        sidecar = sidecar_of(paths, settings.cube, channel)
        if sidecar == {}:
            continue
        first = channel == ONE_CHANNEL[0]
        own = replace(settings, channels=ONE_CHANNEL) if first else settings
        wanted = json.loads(json.dumps(settings_to_dict(own)))
        found = sidecar.get("settings")
        found = found if isinstance(found, dict) else {}
        names = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        told = [f"{name} {_short(found.get(name))} instead of {_short(wanted.get(name))}" for name in names]
        known = sidecar.get("reference") if first else None
        if isinstance(known, dict) and reference not in ("", known.get("name"), known.get("hash")):
            told.append(f"reference {_short(known.get('name'))} instead of {_short(reference)}")
        if told:
            raise PrepareError(
                f"{paths.prepared_json(settings.cube, channel).name}: prepared otherwise than for {model}: "
                f"{', '.join(told)}; prepare it again with `python -m core prepare SCAN --model {model}`"
            )


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def prepare_locked(
    scan: Scan,
    inputs: Mapping[str, str],
    paths: CasePaths,
    reference: Reference,
    settings: PrepareSettings,
    keep: Keep = keep_nothing,
) -> Prepared:
    """As ``prepare_scan``, for a caller that holds the case's lock and claimed its folder."""
    key = prepared_key(scan, inputs, reference, settings)
    keys = channel_keys(scan, key, settings)  # a scan that lacks a channel is refused before any work
    prepared = _t2w_locked(scan, inputs, paths, reference, replace(settings, channels=ONE_CHANNEL), key, keep)
    extra = (_channel_locked(scan, name, paths, prepared, settings, key, keep) for name, key in keys.items())
    return replace(prepared, extra=tuple(extra))


def _t2w_locked(
    scan: Scan,
    inputs: Mapping[str, str],
    paths: CasePaths,
    reference: Reference,
    settings: PrepareSettings,
    key: str,
    keep: Keep,
) -> Prepared:
    cube = settings.cube
    if is_prepared(paths, cube, key):
        try:
            return read_prepared(paths, cube)
        except PrepareError:
            pass  # a sidecar that lacks a value: all is made anew
    volume = load_volume(scan.path)
    mask = load_mask(scan.mask, volume) if scan.mask is not None else None
    prepared = prepare(volume, mask, reference, settings, "synthetic" if scan.synthetic else "")
    extra = {
        "key": key,
        "inputs": dict(inputs),
        "reference": {"name": reference.name, "hash": reference.hash},
        "settings": settings_to_dict(settings),
        "synthetic": scan.synthetic,
    }
    with staging(paths, "prepared", paths.prepared_json(cube), keep) as staged:
        write_prepared(prepared, staged, cube, extra)
        sidecar = staged.prepared_json(cube)
        files = {path.name: file_hash(path) for path in sorted(staged.folder.iterdir()) if path != sidecar}
        record = {**json.loads(sidecar.read_text()), "files": files}
        write_bytes(sidecar, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return prepared


def _channel_locked(
    scan: Scan,
    name: str,
    paths: CasePaths,
    prepared: Prepared,
    settings: PrepareSettings,
    key: str,
    keep: Keep,
) -> Volume:
    cube = settings.cube
    if is_prepared(paths, cube, key, name):
        return load_volume(paths.prepared(cube, name))
    note = "synthetic" if scan.synthetic else ""
    image = channel_file(scan, name)
    made = prepare_channel(load_volume(image), name, prepared, settings, note)
    sidecar = {
        "key": key,
        "inputs": {"scan": file_hash(scan.path), name: file_hash(image)},
        "scan_to_channel": made.scan_to_channel.tolist(),
        "moved": made.moved,
        "settings": settings_to_dict(settings),
        "synthetic": scan.synthetic,
        "versions": versions("numpy", *PACKAGES),
    }
    with staging(paths, f"prepared-{name}", paths.prepared_json(cube, name), keep) as staged:
        save_volume(made.cube, staged.prepared(cube, name))
        write_bytes(staged.qc(cube, name), made.qc)
        own = {path.name: file_hash(path) for path in sorted(staged.folder.iterdir())}
        on = paths.prepared_mask(cube)
        record = {**sidecar, "files": {**own, on.name: file_hash(on)}}
        content = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
        write_bytes(staged.prepared_json(cube, name), content)
    return made.cube


def prepare_scan(
    scan: Scan,
    reference: Reference,
    root: Path,
    settings: PrepareSettings,
    replace_scan: bool = False,
    keep: Keep = keep_nothing,
) -> Prepared:
    """Prepare a scan below the derivatives ``root``, or read it back where that was done.

    Raises
    ------
    VolumeError, PrepareError
        Where the scan or its mask can't be used.
    FolderError
        Where another scan of this label has results there, and ``replace_scan`` does not say to remove them.
    JudgedError
        Where an analysis would go that ``keep`` says to keep: one on another brain mask, say.
    """
    paths = CasePaths(root, scan.subject, scan.session)
    with case_lock(paths):
        inputs = input_hashes(scan)
        claim(paths, scan, inputs["scan"], replace_scan, keep)
        return prepare_locked(scan, inputs, paths, reference, settings, keep)
