"""Many scans at once: errors apart, dead workers, clusters that don't fit, and stops that leave nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client

from core.cluster import WorkerDied, outcomes
from core.config import ROOT, settings
from core.folder import sweep
from core.io.derivatives import CasePaths, iter_records
from core.io.ledger import read_ledger
from core.scheduler import ClusterError
from tests.core.case_fakes import CountingNetwork, fake_predictor, fake_prepare, reference, write_scan
from tests.core.conftest import Run

SCANS = 6


def until(test: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := test()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """True for a process that is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set ``FONTANELLE_SCHEDULER``."""

    def use(address: str) -> None:
        monkeypatch.setenv("FONTANELLE_SCHEDULER", address)
        settings.cache_clear()

    yield use
    settings.cache_clear()


def reciprocal(number: int) -> tuple[float, str, int]:
    return 1 / number, os.environ["OMP_NUM_THREADS"], os.getpid()


@pytest.mark.parametrize("jobs", [1, 2])
def test_pool_keeps_errors_apart(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with closing(outcomes(reciprocal, [1, 0, 4], jobs)) as results:
        done = dict(results)
    assert isinstance(done[0].exception(), ZeroDivisionError)
    assert [done[number].result()[0] for number in (1, 4)] == [1, 0.25]
    # One thread in worker processes; this process and its settings stay as they were.
    assert done[4].result()[1] == ("7" if jobs == 1 else "1")
    assert (done[4].result()[2] == os.getpid()) == (jobs == 1)
    assert os.environ["OMP_NUM_THREADS"] == "7"


def fragile(number: int) -> int:
    """Zero kills its process, as the kernel does where memory is short."""
    if number == 0:
        time.sleep(0.3)  # others are under way by then
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return number


def test_a_dead_worker_takes_only_its_own_item() -> None:
    items = [1, 2, 0, 3, 4, 5]
    with closing(outcomes(fragile, items, 2)) as results:
        done = list(results)
    assert sorted(item for item, _ in done) == sorted(items)
    for item, future in done:
        if item == 0:
            assert isinstance(future.exception(), WorkerDied)
            assert "worker process died" in str(future.exception())
        else:
            assert future.result() == item


# A cluster in processes of its own.


@dataclass(frozen=True)
class Loopback:
    """A scheduler and two workers without a nanny, so that a dead one stays dead."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Loopback]:
    there = tmp_path / "scheduler.json"
    (tmp_path / "marks").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TEST_MARKS": str(tmp_path / "marks")}
    common = ("--scheduler-file", str(there), "--no-dashboard", "--host", "127.0.0.1")
    workers = ("--nthreads", "1", "--no-nanny", "--preload", "tests.core.cluster_fakes")
    commands = [
        ("distributed.cli.dask_scheduler", *common, "--port", "0"),
        *[("distributed.cli.dask_worker", *common, *workers)] * 2,
    ]
    with (tmp_path / "cluster.log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command], cwd=tmp_path, env=environment, stdout=log, stderr=log
            )
            for command in commands
        ]
        until(there.is_file)
        address = json.loads(there.read_text())["address"]
        with Client(address) as client:
            client.wait_for_workers(2, timeout=60)
        yield Loopback(address, processes[0], processes[1:])
        for process in processes:
            process.kill()
            process.wait()


def phantoms(root: Path) -> list[Path]:
    """Scans that differ, and one that is none."""
    found = []
    for number in range(SCANS):
        scan = write_scan(root / "made", seed=number)
        assert scan.mask is not None
        folder = root / f"sub-{number}" / "ses-01" / "anat"
        folder.mkdir(parents=True)
        found.append(scan.path.rename(folder / f"sub-{number}_ses-01_T2w.nii.gz"))
        scan.mask.rename(folder / f"sub-{number}_ses-01_desc-brain_mask.nii.gz")
    found[2].write_bytes(b"no scan")
    (root / "participants.tsv").write_text(
        "participant_id\tsplit\n" + "".join(f"sub-{number}\ttest\n" for number in range(SCANS))
    )
    return found


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: Callable[[str], None],
    loopback: Loopback,
) -> None:
    workers = loopback.workers
    network = CountingNetwork()
    info = SimpleNamespace(name="vae_8x8_512", folder=Path("model"), reference="demo")
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    monkeypatch.setattr("core.cli.analyze.model_named", lambda name: info)
    monkeypatch.setattr("core.cli.analyze.reference_of_model", lambda folder, name: reference())
    monkeypatch.setattr("core.cli.analyze.predictor_of", lambda folder, device: fake_predictor(network))
    phantoms(tmp_path / "bids")
    code, out, _ = run("analyze", tmp_path / "bids", "--out", tmp_path / "here", "--json")
    assert code == 1
    here = {case["case"]: case["key"] for case in json.loads(out)["cases"]}
    assert len(here) == network.calls == SCANS - 1

    killed: list[str] = []

    def kill() -> None:
        mark = tmp_path / "marks" / f"writing-{workers[0].pid}"
        until(mark.is_file)
        killed.extend(part.name for part in (tmp_path / "there").rglob("*.part"))
        workers[0].kill()

    watcher = threading.Thread(target=kill)
    watcher.start()
    scheduler(loopback.address)
    code, out, err = run("analyze", tmp_path / "bids", "--out", tmp_path / "there", "--json")
    watcher.join()
    assert killed, "it was killed while a case was half written"
    assert code == 1, err
    told = json.loads(out)
    assert {case["case"]: case["key"] for case in told["cases"]} == here
    assert [error["case"] for error in told["errors"]] == ["sub-2_ses-01"]
    assert "not a compressed image" in told["errors"][0]["error"]
    assert network.calls == SCANS - 1, "none of it was done in this process"
    # The same voxels, tables and maps, byte for byte, and nothing beside them.
    pairs = list(zip(iter_records(tmp_path / "here"), iter_records(tmp_path / "there"), strict=True))
    assert len(pairs) == SCANS - 1
    assert all(one.files == other.files for one, other in pairs)
    left = {
        root: sorted(str(path.relative_to(tmp_path / root)) for path in (tmp_path / root).rglob("*"))
        for root in ("here", "there")
    }
    assert left["here"] == left["there"]
    assert not any(name.endswith(".part") for name in left["there"])
    lines = read_ledger(tmp_path / "there")
    assert lines == read_ledger(tmp_path / "here")
    failed, *rest = sorted(lines, key=lambda line: line.reason == "")
    assert (failed.subject, failed.step, failed.target) == ("sub-2", "analyze", "vae_8x8_512")
    assert "not a compressed image" in failed.reason
    assert [(line.subject, line.step, line.target, line.split, line.reason) for line in rest] == [
        (f"sub-{number}", *step, "test", "")
        for number in (0, 1, 3, 4, 5)
        for step in (("analyze", "vae_8x8_512"), ("prepare", "cube32"))
    ]


def test_a_scheduler_that_goes_away_is_told(
    scheduler: Callable[[str], None], loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.scheduler.CONNECT_S", 2.0)
    scheduler(loopback.address)
    timer = threading.Timer(1.0, loopback.scheduler.kill)
    timer.start()
    with (
        pytest.raises(ClusterError, match="the scheduler went away; start again, what was finished is kept"),
        closing(outcomes(time.sleep, [60, 60], 1)) as results,
    ):
        next(results)


def test_no_scheduler_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: Callable[[str], None]
) -> None:
    monkeypatch.setattr("core.scheduler.CONNECT_S", 0.5)
    monkeypatch.setattr("core.cli.prepare.demo_reference", reference)
    scan = write_scan(tmp_path / "bids")
    scheduler("tcp://127.0.0.1:9")
    code, out, err = run("prepare", scan.path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "error: FONTANELLE_SCHEDULER tcp://127.0.0.1:9: no Dask scheduler of version" in err
    assert "answers within 0.5 s" in err
    assert "unset FONTANELLE_SCHEDULER" in err
    scheduler("head-node")
    assert "is 'head-node'; expected an address such as tcp://" in run("prepare", scan.path)[2]


# Stops.

STOPPED = """
import signal
import sys
from pathlib import Path
from core.cli.batch import work_off
from core.io.bids import Scan
from core.folder import sweep
from core.io.derivatives import CasePaths
from tests.core.cluster_fakes import Sleep, sleep

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where pytest runs in the background
    root, marks = Path(sys.argv[1]), Path(sys.argv[2])
    scans = [Scan(f"sub-{number}", "ses-1", Path("x")) for number in range(4)]
    tasks = [Sleep(CasePaths(root, scan.subject, scan.session), scan, marks) for scan in scans]
    try:
        work_off(sleep, tasks, 2, [("prepare", "cube8")], lambda done, case: None)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_leaves_no_process_and_nothing_half_written(tmp_path: Path, number: int) -> None:
    root, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(root), str(marks)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = until(lambda: len(found := [int(path.name) for path in marks.iterdir()]) == 2 and found)
    assert len(list(root.rglob("*.part"))) >= 2
    start = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the workers hear it too
    else:
        process.kill()
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    until(lambda: not any(alive(pid) for pid in pids), 20)
    if number == signal.SIGINT:
        assert err == "stopped\n", err
        assert list(root.rglob("*.part")) == []
    for number in range(4):
        paths = CasePaths(root, f"sub-{number}", "ses-1")
        assert not paths.acquired.exists()
        sweep(paths)  # as the next run does
    assert list(root.rglob("*.part")) == []
