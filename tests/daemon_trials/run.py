"""The real dagster-daemon over the shipping sensor and job, killed, wiped and lied to while work is pending.

    python tests/daemon_trials/run.py --trials 60            # or: make daemon-trials TRIALS=60
    python tests/daemon_trials/run.py --seed 17 --keep /tmp/seed17

Prints a table, writes a JSON report, and exits 1 if a journal is in the ERP twice or missing, a batch or a run is
stuck, the audit chain is broken or a restarted sensor needed more than two ticks; each broken trial is printed with the
command that repeats its faults (what the machine makes of them depends on timing, as ever with real processes).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / name) for name in ("kill_matrix", "faults", "unit")),
    str(HERE.parents[1]),
]

from company import build, write_config  # noqa: E402
from daemon_trial import Result, Trial, child, surroundings  # noqa: E402
from erps import running  # noqa: E402
from killing import fork  # noqa: E402
from machine import quicken  # noqa: E402

COUNTS = ("duplicates", "lost", "stuck")
MODULES = {"whole": "revenue_assets.definitions", "posting": "posting_only"}


def played(args: argparse.Namespace, root: Path, seeds: list[int]) -> Iterator[Result]:
    """The trials of `seeds`, one after the other, in this process, which has no threads."""
    began = time.monotonic()
    with running("rest", root / "erp") as server:
        for seed in seeds:
            folder = root / f"seed-{seed}"
            folder.mkdir()
            result = Trial(folder, root.parent / "template", root.parent / "config", server, MODULES[args.defs]).play(
                seed, args.faults
            )
            if args.keep and result.broken:
                sockets = shutil.ignore_patterns("player", "code-*")
                shutil.copytree(folder, args.keep / folder.name, dirs_exist_ok=True, ignore=sockets)
            shutil.rmtree(folder, ignore_errors=True)
            yield result
            if args.minutes and time.monotonic() - began > args.minutes * 60:
                return


def trials(args: argparse.Namespace, root: Path) -> Iterator[Result]:
    """All trials as they end. They mostly wait, so several players share a machine, each a process with an ERP of its
    own. A player that dies is an error, not a shorter report."""
    seeds = args.seed or list(range(args.first, args.first + args.trials))
    pipes: dict[Connection, int] = {}
    players = []
    for number in range(min(args.jobs, len(seeds))):
        ours, theirs = Pipe(duplex=False)
        mine = seeds[number :: args.jobs]
        players.append(fork(partial(_player, args, root / str(number), mine, theirs)))
        theirs.close()
        pipes[ours] = len(mine)
    while pipes:
        for pipe in wait(list(pipes)):
            assert isinstance(pipe, Connection)
            try:
                yield pipe.recv()
                pipes[pipe] -= 1
            except EOFError:
                if pipes.pop(pipe) and not args.minutes:
                    raise RuntimeError("a player of the trials died; its output stands above") from None
    for pid in players:
        os.waitpid(pid, 0)


def _player(args: argparse.Namespace, root: Path, seeds: list[int], pipe: Connection) -> None:
    root.mkdir()
    for result in played(args, root, seeds):
        pipe.send(result)


def prepare(args: argparse.Namespace, root: Path) -> None:
    """Config and template home; and everything imported that daemon, code server and run workers will need."""
    write_config(root / "config")
    child(partial(build, root / "template"))
    surroundings(root / "first", root / "config")
    import dagster._cli.api
    import dagster._daemon.cli
    import dagster._grpc.server  # noqa: F401

    defs = __import__(MODULES[args.defs], fromlist=["defs"]).defs
    defs.get_repository_def().get_job("erp_posting_job")
    quicken()


def report(results: list[Result], seconds: float) -> str:
    """The table: a row per fault (a trial counts in the row of each of its faults), and the sums."""
    lines = [f"{'fault':<28}{'times':>7}" + "".join(f"{name:>12}" for name in (*COUNTS, "other"))]
    for fault in sorted({name for r in results for name in r.faults}):
        own = [r for r in results if fault in r.faults]
        lines.append(f"{fault:<28}{sum(r.faults.count(fault) for r in own):>7}{_sums(own)}")
    lines.append(f"{'all (trials)':<28}{len(results):>7}{_sums(results)}")
    ticks = [n for r in results for n in r.ticks]
    lines.append(
        f"{sum(r.kills for r in results)} daemon kills, {sum(r.worker_kills for r in results)} run workers killed"
        f" alone, {sum(r.wipes for r in results)} wipes, {sum(r.journals for r in results)} journals,"
        f" {sum(r.missed for r in results)} traps not reached; back to work after"
        f" {', '.join(f'{n} ticks: {ticks.count(n)}' for n in sorted(set(ticks)))}; {seconds:.0f} s"
    )
    return "\n".join(lines)


def _sums(results: list[Result]) -> str:
    other = sum(r.broken and not any(getattr(r, name) for name in COUNTS) for r in results)
    return "".join(f"{sum(getattr(r, name) for r in results):>12}" for name in COUNTS) + f"{other:>12}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4, help="how many seeds (default 4)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, action="append", help="this seed alone; again for more")
    parser.add_argument("--faults", type=int, default=4, help="faults of a trial (default 4)")
    parser.add_argument("--defs", choices=sorted(MODULES), default="whole", help="what is served (default: all of it)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (default 1)")
    parser.add_argument("--minutes", type=float, default=0.0, help="start no trial after this long (default: no limit)")
    parser.add_argument("--report", type=Path, help="where the JSON report goes")
    parser.add_argument("--keep", type=Path, help="folder for the homes and logs of broken trials")
    args = parser.parse_args()
    began, started, results = time.monotonic(), dt.datetime.now(dt.UTC), list[Result]()
    with tempfile.TemporaryDirectory(prefix="daemon-") as folder:
        prepare(args, Path(folder))
        for result in trials(args, Path(folder)):
            results.append(result)
            print(f"seed {result.seed} ({result.seconds:.0f} s): {', '.join(result.faults)}", flush=True)
            if result.broken:
                print(f"BROKEN: {result}\n  repeat: python {os.path.relpath(__file__)} --seed {result.seed} --faults"
                      f" {args.faults} --defs {args.defs}", flush=True)  # fmt: skip
    print(report(results, time.monotonic() - began))
    if args.report:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        names = ("kills", "worker_kills", "wipes", "missed", "journals", *COUNTS)
        facts = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "trials": len(results),
            **{name: sum(getattr(r, name) for r in results) for name in names},
            "ticks_max": max((n for r in results for n in r.ticks), default=0),
            "broken": [r.as_dict() for r in results if r.broken],
            "results": [r.as_dict() for r in results],
        }
        args.report.write_text(json.dumps(facts, indent=1))
    return 1 if any(r.broken for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
