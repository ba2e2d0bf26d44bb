"""The tables of the Agreement page. Shares and rates with intervals from resampling scans."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from app.agreement.columns import COLUMNS
from app.feedback.agreement import (
    SEVERITY,
    Rows,
    class_ratings,
    main,
    region_ratings,
    repeated,
)
from core.evaluation.agreement import coefficients, cohen_kappa, paradox
from core.evaluation.ratings import Ratings, confusion
from core.evaluation.resampling import Coefficient, clustered_share

SEED = 20230
DRAWS = 1000
EVERY = "All"
NOT_SAID = "none given"
# Heading of each way to part the flags, and its column.
WAYS = {
    "Band": "band",
    "Sign": "sign",
    "Architecture": "model",
    "Map": "map",
    "Finding type": "finding_type",
}
# Of a missed finding neither band nor sign is known.
MISSED_WAYS = {name: WAYS[name] for name in ("Architecture", "Map", "Finding type")}


def _by_scan(table: pd.DataFrame, hits: str, totals: str, scans: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of two columns by scan, 0 where a scan has none, (scans,) each."""
    sums = table.groupby("scan")[[hits, totals]].sum().reindex(range(scans), fill_value=0)
    return sums[hits].to_numpy(np.float64), sums[totals].to_numpy(np.float64)


def _share(table: pd.DataFrame, hits: str, totals: str, scans: int) -> Coefficient:
    top, bottom = _by_scan(table, hits, totals, scans)
    return clustered_share(top, bottom, np.arange(scans), SEED, DRAWS)


def _groups(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The whole, then its parts by name; what has no name last."""
    named = table.assign(**{column: table[column].replace("", NOT_SAID)})
    parts = sorted(named.groupby(column), key=lambda part: (part[0] == NOT_SAID, str(part[0])))
    return [(EVERY, named), *((str(name), part) for name, part in parts)]


def acceptance(rows: Rows, column: str) -> pd.DataFrame:
    """Share of flags that readers accept, by one of ``WAYS``; each reader's verdict on a flag counts once."""
    table = main(rows.verdicts)
    table = table.assign(one=1, hit=(table["verdict"] == "agree").astype(int))
    found = []
    for name, part in _groups(table, column):
        if part.empty:
            continue
        share = _share(part, "hit", "one", rows.scans)
        counts = part["verdict"].value_counts()
        found.append(
            {
                "group": name,
                "verdicts": len(part),
                "accepted": int(counts.get("agree", 0)),
                "rejected": int(counts.get("disagree", 0)),
                "unsure": int(counts.get("unsure", 0)),
                "scans": share.scans,
                "share": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    return pd.DataFrame(found, columns=COLUMNS["accepted"])


def missed(rows: Rows, column: str) -> pd.DataFrame:
    """Findings that the flags miss, a reading: marks of the second phase over finished readings.

    By architecture and map over the readings with that one open; by finding type over all.
    """
    readings = main(rows.reads).assign(hit=0, one=1)
    marks = main(rows.marks[rows.marks["phase"] == "second"]).assign(hit=1, one=0)
    shared = ["scan", "hit", "one"]
    found: list[dict[str, object]] = []
    if readings.empty:
        return pd.DataFrame(found, columns=COLUMNS["missed"])
    if column in readings.columns:
        columns = [*shared, column]
        groups = _groups(pd.concat([readings[columns], marks[columns]]), column)
    else:
        groups = [
            (name, pd.concat([readings[shared], part[shared]])) for name, part in _groups(marks, column)
        ]
    for name, part in groups:
        rate = _share(part, "hit", "one", rows.scans)
        found.append(
            {
                "group": name,
                "readings": int(part["one"].sum()),
                "missed": int(part["hit"].sum()),
                "scans": rate.scans,
                "a reading": rate.value,
                "low": rate.low,
                "high": rate.high,
            }
        )
    return pd.DataFrame(found, columns=COLUMNS["missed"])


def _rows(found: Sequence[Coefficient]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "statistic": [one.name for one in found],
            "value": [one.value for one in found],
            "low": [one.low for one in found],
            "high": [one.high for one in found],
            "items": [one.items for one in found],
            "scans": [one.scans for one in found],
            "note": [one.note for one in found],
        }
    )


def region_agreement(rows: Rows) -> tuple[pd.DataFrame, str]:
    """Coefficients on regions, and the warning of the prevalence paradox or an empty text."""
    found = coefficients(region_ratings(rows)[0], False, SEED, DRAWS)
    return _rows(found), paradox(found)


def class_agreement(rows: Rows) -> tuple[pd.DataFrame, str]:
    """Coefficients on the class of scans; the ordinal ones leave "inadequate" out, which has no order."""
    nominal = coefficients(class_ratings(rows)[0], False, SEED, DRAWS)
    ordered = coefficients(class_ratings(rows, SEVERITY)[0], True, SEED, DRAWS)
    ordinal = [one for one in ordered if "ordinal" in one.name or "weights" in one.name]
    return _rows([*nominal, *ordinal]), paradox(nominal)


def pairs(rows: Rows, what: str) -> pd.DataFrame:
    """Cohen's kappa and percent agreement of every two readers, on "regions" or "classes"."""
    ratings, readers = region_ratings(rows) if what == "regions" else class_ratings(rows)
    found = []
    for (at, one), (to, other) in combinations(enumerate(readers), 2):
        table = confusion(ratings, at, to)
        if table.sum() == 0:
            continue
        kappa = cohen_kappa(ratings, at, to, seed=SEED, draws=DRAWS)
        found.append(
            {
                "readers": f"{rows.names[one]} and {rows.names[other]}",
                "items": kappa.items,
                "scans": kappa.scans,
                "percent": float(np.trace(table) / table.sum()),
                "kappa": kappa.value,
                "low": kappa.low,
                "high": kappa.high,
                "note": kappa.note,
            }
        )
    return pd.DataFrame(found, columns=COLUMNS["pairs"])


def crossed(ratings: Ratings, first: int, second: int) -> pd.DataFrame:
    """Confusion table of two columns of ratings, without categories that neither used."""
    table = pd.DataFrame(confusion(ratings, first, second), ratings.categories, ratings.categories)
    used = [name for name in ratings.categories if table.loc[name].sum() + table[name].sum() > 0]
    return table.loc[used, used]


def repeatability(rows: Rows) -> pd.DataFrame:
    """A reader's second pass against the first: all readers together, then each."""
    found = []
    for what in ("regions", "classes"):
        readers = sorted(rows.reads["reader"].unique())
        for reader in (None, *readers):
            ratings = repeated(rows, what, None if reader is None else int(reader))
            if ratings.codes.size == 0:
                continue
            kappa = cohen_kappa(ratings, seed=SEED, draws=DRAWS)
            same = float((ratings.codes[:, 0] == ratings.codes[:, 1]).mean())
            found.append(
                {
                    "what": what,
                    "reader": EVERY if reader is None else rows.names[int(reader)],
                    "items": kappa.items,
                    "scans": kappa.scans,
                    "same answer": same,
                    "kappa": kappa.value,
                    "low": kappa.low,
                    "high": kappa.high,
                    "note": kappa.note,
                }
            )
    return pd.DataFrame(found, columns=COLUMNS["repeats"])


def both_reads(rows: Rows) -> pd.DataFrame:
    """First passes that were read unaided first, and then with the flags."""
    table = main(rows.reads)
    return table[table["unaided"].astype(bool) & table["second_seconds"].notna()]


def change(rows: Rows) -> pd.DataFrame:
    """From first to second read, all readers together, then each: changed, and helped or harmed where known.

    Helped: the first did not fit the known class and the second does; harmed: the other way round.
    """
    table = both_reads(rows)
    known = table["right_first"].notna() & table["right_final"].notna()
    table = table.assign(
        one=1,
        changed=(table["first"] != table["final"]).astype(int),
        known=known.astype(int),
        helped=(known & (table["right_first"] == 0) & (table["right_final"] == 1)).astype(int),
        harmed=(known & (table["right_first"] == 1) & (table["right_final"] == 0)).astype(int),
    )
    found = []
    parts = [(EVERY, table), *((rows.names[int(str(key))], part) for key, part in table.groupby("reader"))]
    for name, part in parts:
        if part.empty:
            continue
        line: dict[str, object] = {"reader": name, "readings": len(part), "known": int(part["known"].sum())}
        for what, total in (("changed", "one"), ("helped", "known"), ("harmed", "known")):
            share = _share(part, what, total, rows.scans)
            line |= {
                what: int(part[what].sum()),
                f"{what} share": share.value,
                f"{what} low": share.low,
                f"{what} high": share.high,
            }
        found.append(line)
    return pd.DataFrame(found, columns=COLUMNS["change"])


def changes(rows: Rows) -> pd.DataFrame:
    """How many readings went from each first class to each second one."""
    table = both_reads(rows)
    if table.empty:
        return pd.DataFrame()
    found = pd.crosstab(table["first"], table["final"])
    order = [name for name in (*SEVERITY, "inadequate") if name in {*found.index, *found.columns}]
    return found.reindex(index=order, columns=order, fill_value=0)


def seconds(rows: Rows) -> pd.DataFrame:
    """Median and quartiles of active seconds, by phase: all readers together, then each."""
    table = main(rows.reads)
    found = []
    parts = [(EVERY, table), *((rows.names[int(str(key))], part) for key, part in table.groupby("reader"))]
    for name, part in parts:
        for phase in ("first", "second"):
            values = part[f"{phase}_seconds"].dropna()
            if values.empty:
                continue
            low, middle, high = values.quantile([0.25, 0.5, 0.75])
            found.append(
                {
                    "reader": name,
                    "phase": phase,
                    "readings": len(values),
                    "median": middle,
                    "quartile 1": low,
                    "quartile 3": high,
                }
            )
    return pd.DataFrame(found, columns=COLUMNS["seconds"])


def planted(rows: Rows) -> pd.DataFrame:
    """How readers do on scans whose answer is known: all together, then each; inadequate counts as wrong."""
    table = rows.reads[rows.reads["planted"].astype(bool) & rows.reads["reference"].notna()]
    found = []
    parts = [(EVERY, table), *((rows.names[int(str(key))], part) for key, part in table.groupby("reader"))]
    for name, part in parts:
        if part.empty:
            continue
        part = part.assign(one=1, right=part["right_final"].astype(int))
        ill = part["reference"] != "normal"
        called = ~part["final"].isin(["normal", "inadequate"])
        share = _share(part, "right", "one", rows.scans)
        found.append(
            {
                "reader": name,
                "readings": len(part),
                "right": int(part["right"].sum()),
                "share": share.value,
                "low": share.low,
                "high": share.high,
                "abnormal": int(ill.sum()),
                "abnormal found": int((ill & called).sum()),
                "normal": int((~ill).sum()),
                "normal passed": int((~ill & (part["final"] == "normal")).sum()),
            }
        )
    return pd.DataFrame(found, columns=COLUMNS["planted"])
