"""``cohort``: other people's data, brought into the form that the other commands take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core.cli.console import UsageError, say, say_json
from core.io.cohort import ABNORMAL, NORMAL, Cohort, SplitSettings, import_cohort
from core.io.dicom import load_dicom
from core.io.manifest import SPLITS, write_manifest
from core.io.volume import WRITTEN, describe_grid, save_volume

app = typer.Typer(help="Bring a cohort: import a data set, convert DICOM.", no_args_is_help=True)


@app.command("import")
def import_command(
    folder: Annotated[Path, typer.Argument(help="BIDS folder, or dHCP's anatomical pipeline")],
    out: Annotated[Path, typer.Option(help="Manifest to write; its data dictionary (.json) beside it")],
    train: Annotated[float, typer.Option(help="Normals to learn from; below 1, a fraction")] = 80,
    validation: Annotated[float, typer.Option(help="Normals to calibrate on; below 1, a fraction")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw")] = 0,
    family_column: Annotated[
        str | None, typer.Option(help="Column that is the same for siblings (family, mother)")
    ] = None,
    include: Annotated[
        list[int] | None, typer.Option(help="Score of 2 to 4 that joins the test split; repeatable")
    ] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help="Although the data set has splits")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Read a data set and write its manifest: one session a subject, and a split by subject and family.

    Radiology score 1 is drawn into train and validation, the rest of it are test normals; 5 is test; 2 to 4
    are listed and left out. The manifest stands for a folder in train, calibrate, prepare and analyze.

    Example: python -m core cohort import dhcp_anat_pipeline --out manifest.tsv
    """
    if out.suffix != ".tsv":
        raise UsageError(f"--out {out}: expected a name that ends in .tsv")
    options = SplitSettings(train, validation, seed, tuple(include or ()), redraw)
    cohort = import_cohort(folder, options, family_column)
    drawn = {} if cohort.given else {"Seed": seed, "Train": train, "Validation": validation}
    write_manifest(cohort.entries, out, drawn)
    for note in cohort.notes:
        say(f"note: {note}")
    if as_json:
        say_json({"manifest": str(out), **counts(cohort)})
        return
    for split in SPLITS:
        scores = (NORMAL, *sorted(options.include), ABNORMAL)
        told = ", ".join(f"{cohort.count(split, score)} with score {score}" for score in scores)
        print(f"{split:<12}{cohort.count(split):>5}  ({told})")
    for reason, number in sorted(cohort.left_out.items()):
        print(f"{'left out':<12}{number:>5}  ({reason})")
    print(out)


def counts(cohort: Cohort) -> dict[str, object]:
    """What ``--json`` says of a cohort."""
    return {
        "splits": {
            split: {str(score): cohort.count(split, score) for score in range(1, 6)} for split in SPLITS
        },
        "left_out": cohort.left_out,
        "given": cohort.given,
        "notes": cohort.notes,
    }


@app.command("dicom")
def dicom_command(
    source: Annotated[Path, typer.Argument(help="Folder or .zip of DICOM files")],
    out: Annotated[Path, typer.Option(help="NIfTI to write (.nii or .nii.gz)")],
    series: Annotated[int | None, typer.Option(help="SeriesNumber, where there are several")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Convert one DICOM series to NIfTI. Voxels and their place are kept; nothing that names a patient is.

    Example: python -m core cohort dicom export.zip --out sub-01_ses-01_T2w.nii.gz
    """
    if not out.name.endswith(WRITTEN):
        raise UsageError(f"--out {out}: expected a name that ends in {' or '.join(WRITTEN)}")
    scan = load_dicom(source, series)
    save_volume(scan.volume, out)
    if as_json:
        say_json(
            {
                "path": str(out),
                "series": scan.series,
                "slices": scan.slices,
                "stored": "".join(scan.volume.stored),
                "spacing_mm": [round(float(mm), 4) for mm in scan.volume.spacing],
                "skipped": asdict(scan.skipped),
            }
        )
        return
    print(f"{scan.slices} slices, {describe_grid(scan.volume)}, stored {''.join(scan.volume.stored)}")
    print(f"skipped files: {scan.skipped}")
    print(out)
