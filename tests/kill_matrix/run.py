"""The kill matrix: every adapter protocol x ERP behaviour x SIGKILL of the posting process at seeded moments.

    python tests/kill_matrix/run.py --seeds 25                      # or: make kill-matrix SEEDS=25
    python tests/kill_matrix/run.py --protocol generic_csv --behaviour storms --seed 17

Prints a table, writes a JSON report, and exits 1 if a journal is in an ERP twice, missing, or stuck without an owner;
each broken trial is printed with the command that repeats it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "faults"), str(HERE.parent / "unit"), str(HERE.parents[1])]

from erps import PROTOCOLS, running  # noqa: E402
from house import build, build_details  # noqa: E402
from killing import fork  # noqa: E402
from stamina.instrumentation import set_on_retry_hooks  # noqa: E402
from trial import SETTLE_SECONDS, Result, duel, make_template, play  # noqa: E402

from demo.erp_emulators.behaviour import BEHAVIOURS  # noqa: E402

COUNTS = ("duplicates", "lost", "stuck")
# ERPs that can refuse the late request of a poster that was stopped past its lease.
DUELS = ("ideal", "unique_id")
# What the default test run plays of each protocol: the behaviours that broke the designs that we did not choose.
_HARD = ("key_expired", "no_key_late", "unique_id", "storms", "everything")
SHORT: dict[str, dict[str, tuple[str, ...]]] = {
    "generic_rest": {"play": _HARD, "duel": DUELS},
    "generic_rest_jobs": {"play": ("everything",), "duel": ()},
    "generic_csv": {"play": ("no_key_late", "everything"), "duel": ()},
    "netsuite": {"play": ("no_key_late", "everything"), "duel": ("ideal",)},
    "netsuite_jobs": {"play": ("no_key_late",), "duel": ()},
    "netsuite_details": {"play": ("no_key_late",), "duel": ()},
    "netsuite_details_jobs": {"play": (), "duel": ()},
    "generic_rest_details": {"play": ("no_key_late",), "duel": ()},
}


def cells(args: argparse.Namespace) -> list[tuple[int, str, str]]:
    """(seed, protocol, behaviour) of all trials asked for, seed by seed, so that a run that is cut short has played
    every cell alike."""
    how = "duel" if args.duel else "play"
    asked = itertools.product(seeds(args), args.protocol or list(PROTOCOLS), args.behaviour or BEHAVIOURS)
    return [
        (seed, name, behaviour)
        for seed, name, behaviour in asked
        if (not args.short or behaviour in SHORT[name][how]) and (not args.duel or behaviour in DUELS)
    ]


def trials(args: argparse.Namespace, root: Path) -> Iterator[Result]:
    """All trials asked for, as they end. They mostly wait for settle times, so several players share a machine; each
    is a process with emulators of its own. A player that dies is an error, not a shorter report."""
    templates = root / "template.sqlite", root / "template-details.sqlite"
    for template, builder in zip(templates, (build, build_details), strict=True):
        make_template(template, builder)
    work = cells(args)
    if args.jobs == 1:
        yield from played(args, root, templates, work)
        return
    players, pipes = [], {}
    for number in range(args.jobs):
        ours, theirs = Pipe(duplex=False)
        mine = work[number :: args.jobs]
        players.append(fork(partial(_player, args, root / str(number), templates, mine, theirs)))
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
                    raise RuntimeError("a player of the kill matrix died; its output stands above") from None
    for pid in players:
        os.waitpid(pid, 0)


def _player(
    args: argparse.Namespace, root: Path, templates: tuple[Path, Path], work: list[tuple[int, str, str]],
    pipe: Connection,
) -> None:  # fmt: skip
    """Plays its share; with --minutes it begins no trial once they are over."""
    began = time.monotonic()
    for result in played(args, root, templates, work):
        pipe.send(result)
        if args.minutes and time.monotonic() - began > args.minutes * 60:
            return


def played(
    args: argparse.Namespace, root: Path, templates: tuple[Path, Path], work: list[tuple[int, str, str]]
) -> Iterator[Result]:
    """The trials of `work`, one after the other, against emulators that live as long as they do. `templates`: the
    ledger of journals, and that of detail documents."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(PROTOCOLS[name].face, root / name))
            for name in sorted({name for _, name, _ in work})
        }
        for seed, name, behaviour in work:
            folder = root / f"{name}-{behaviour}-{seed}"
            what = (
                templates[PROTOCOLS[name].details],
                folder,
                servers[name],
                name,
                PROTOCOLS[name],
                behaviour,
                seed,
                args.settle,
            )
            yield duel(*what) if args.duel else play(*what, args.late)
            shutil.rmtree(folder)


def seeds(args: argparse.Namespace) -> range:
    return range(args.seed, args.seed + 1) if args.seed is not None else range(args.first, args.first + args.seeds)


def report(results: list[Result], seconds: float) -> str:
    """The table: a row per protocol and behaviour, and the sums."""
    head = f"{'protocol':<22}{'ERP behaviour':<20}{'trials':>7}{'kills':>7}{'requests':>10}"
    lines = [head + "".join(f"{name:>12}" for name in COUNTS) + f"{'other':>7}"]
    played_cells = sorted({(r.protocol, r.behaviour) for r in results})
    for protocol, behaviour in [*played_cells, ("all", "")]:
        own = [r for r in results if protocol == "all" or (r.protocol, r.behaviour) == (protocol, behaviour)]
        counts = "".join(f"{sum(getattr(r, name) for r in own):>12}" for name in COUNTS)
        other = sum(r.broken and not any(getattr(r, name) for name in COUNTS) for r in own)
        sums = f"{len(own):>7}{sum(r.kills for r in own):>7}{sum(r.requests for r in own):>10}"
        lines.append(f"{protocol:<22}{behaviour:<20}{sums}{counts}{other:>7}")
    return "\n".join([*lines, f"{seconds:.0f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", action="append", choices=sorted(PROTOCOLS), help="again for more (default: all)")
    parser.add_argument(
        "--behaviour", action="append", choices=sorted(BEHAVIOURS), help="again for more (default: all)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="trials of each cell (default 5)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="this one seed alone")
    parser.add_argument("--short", action="store_true", help="of each protocol, what the default test run plays")
    parser.add_argument("--duel", action="store_true", help="instead of kills: a poster stopped past its lease")
    parser.add_argument("--report", type=Path, help="where the JSON report goes")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (default 1)")
    parser.add_argument("--minutes", type=float, default=0.0, help="start no trial after this long (default: no limit)")
    parser.add_argument(
        "--settle", type=float, default=SETTLE_SECONDS,
        help=f"seconds before a look-up counts (default {SETTLE_SECONDS}); 0 shows that the matrix can turn red",
    )  # fmt: skip
    parser.add_argument(
        "--late", type=float, help="seconds within which a late request commits (default: the behaviour's)"
    )
    args = parser.parse_args()
    set_on_retry_hooks([])
    began, results = time.monotonic(), list[Result]()
    started = dt.datetime.now(dt.UTC)
    with tempfile.TemporaryDirectory(prefix="kill-matrix-") as folder:
        for result in trials(args, Path(folder)):
            results.append(result)
            if result.broken:
                print(f"BROKEN: {result}\n  repeat: python {os.path.relpath(__file__)} --protocol {result.protocol} "
                      f"--behaviour {result.behaviour.removeprefix('stopped, ')} --seed {result.seed}"
                      f"{' --duel' if args.duel else ''}", flush=True)  # fmt: skip
            if args.jobs == 1 and args.minutes and time.monotonic() - began > args.minutes * 60:
                break
    if len(results) < len(cells(args)):
        print(f"{args.minutes:g} minutes are over; {len(cells(args)) - len(results)} trials were not played.")
    print(report(results, time.monotonic() - began))
    if args.report:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "seeds": [seeds(args).start, seeds(args).stop - 1],
            "trials": len(results),
            "kills": sum(r.kills for r in results),
            **{name: sum(getattr(r, name) for r in results) for name in COUNTS},
            "broken": [r.as_dict() for r in results if r.broken],
            "results": [r.as_dict() for r in results],
        }
        args.report.write_text(json.dumps(facts, indent=1))
    return 1 if any(r.broken for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
