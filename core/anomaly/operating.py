"""Which of the listed regions count: a band threshold and a volume floor by map, chosen from feedback."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.anomaly.bands import REGION_BANDS
from core.anomaly.residual import AnomalyError
from core.io.atomic import write_bytes
from core.io.derivatives import MAP_NAMES, Region

FILE = "operating_point.json"
SCHEMA = 1


@dataclass(frozen=True)
class Point:
    """Regions of ``band`` or higher and of ``floor_mm3`` or more count; ``base_mm3``: floor of the analysis.

    The regions are made with the analysis' own floor and then filtered: another floor would join them
    otherwise, and give regions that no reader has judged.
    """

    band: str
    floor_mm3: float
    base_mm3: float


OperatingPoint = Mapping[str, Point]  # by map


def kept(regions: Sequence[Region], point: OperatingPoint, base_mm3: float) -> list[Region]:
    """The regions that count; those of a map without a point all do.

    Raises
    ------
    AnomalyError
        Where the point was chosen on regions of another floor than ``base_mm3``.
    """
    for name, one in point.items():
        if one.base_mm3 != base_mm3:
            raise AnomalyError(
                f"the operating point of the {name} map is for regions of {one.base_mm3:g} mm³ or more; the "
                f"analysis asks for {base_mm3:g} mm³"
            )
    return [region for region in regions if region.map not in point or counts(region, point[region.map])]


def counts(region: Region, point: Point) -> bool:
    """Whether a region is of the point's band or higher, and large enough where the floor was raised."""
    high = REGION_BANDS.index(region.band) >= REGION_BANDS.index(point.band)
    return high and (point.floor_mm3 <= point.base_mm3 or region.volume_mm3 >= point.floor_mm3)


def rates_kept(
    rates: Mapping[str, Mapping[str, float]], point: OperatingPoint
) -> dict[str, dict[str, float]]:
    """False alarms of validation normals that still hold: a raised floor leaves none known of its map."""
    found = {}
    for name, bands in rates.items():
        if name not in point:
            found[name] = dict(bands)
        elif point[name].floor_mm3 <= point[name].base_mm3:
            low = REGION_BANDS.index(point[name].band)
            found[name] = {band: rate for band, rate in bands.items() if REGION_BANDS.index(band) >= low}
    return found


def save_point(point: OperatingPoint, about: Mapping[str, object], folder: Path) -> Path:
    """Write the point into a model folder, with how it was chosen."""
    raw = {"schema": SCHEMA, "maps": {name: asdict(one) for name, one in point.items()}, "about": dict(about)}
    path = folder / FILE
    write_bytes(path, (json.dumps(raw, indent=1, sort_keys=True) + "\n").encode())
    return path


def load_point(path: Path) -> OperatingPoint:
    """Read the point of a model folder.

    Raises
    ------
    AnomalyError
        Where it is no such file, or holds unknown maps, bands or floors.
    """
    try:
        raw = json.loads(path.read_text())
        if raw["schema"] != SCHEMA:
            raise AnomalyError(f"{path.name}: schema {raw['schema']}; expected {SCHEMA}")
        point = {name: Point(**one) for name, one in raw["maps"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, AnomalyError):
            raise
        raise AnomalyError(f"{path.name}: {error}; expected what calibrate --from-feedback writes") from error
    for name, one in point.items():
        if name not in MAP_NAMES or one.band not in REGION_BANDS or not 0 < one.base_mm3 <= one.floor_mm3:
            raise AnomalyError(
                f"{path.name}: {name} with band {one.band!r}, {one.floor_mm3} and {one.base_mm3} mm³; "
                f"expected a map of {', '.join(MAP_NAMES)}, a band of {', '.join(REGION_BANDS)}, and floors "
                "above 0"
            )
    return point
