"""The promises at their night figures, in a given time, with a report of what was really reached.

    python tests/trials/run.py --minutes 480                  # or: make night MINUTES=480
    python tests/trials/run.py --only P14-raw-sql --count 5000 --server sqlite --seed 7

Each trial is a process of its own. The long commands (COMMANDS) come last, each
with a share of the time that is left; one that does not end in it is reported as cut short. Exits 1 if a promise broke.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOUSE = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "unit"), str(HERE.parent / "faults"), str(HERE.parent / "dbt"), str(HOUSE)]

from catalogue import BOTH, TRIALS, Trial, named  # noqa: E402
from ground import SHOWN, SQLITE, Ground, Outcome, postgresql  # noqa: E402

# What other folders try at length: `make` target -> its arguments, given the minutes it may take.
COMMANDS: dict[str, str] = {
    "simulate": "SEEDS={seeds}",
    "kill-matrix": "SEEDS=1000 ARGS=--minutes={half:g}",
    "daemon-trials": "",
    "recovery-trials": "",
    "test-full": "",
}
# A command that plays on something that must be there: where it is, and what makes it.
NEEDS = {"recovery-trials": (".revenue", "make demo")}
SIMULATED_A_MINUTE = 60  # seeds that two cores play; more than that is left for the next night
GRACE_SECONDS = 120.0
REPORT = Path(".cache/night.json")


def play(trial: Trial, count: int, seconds: float, seed: int, server: str) -> dict[str, Any]:
    """One trial here and now; whatever it raises is a broken promise."""
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trial-")))
        stands_on = SQLITE if server == SQLITE.name else stack.enter_context(postgresql(folder / "pg"))
        try:
            outcome = trial.run(Ground(folder / "ground", seed, seconds, stands_on), count)
        except Exception as error:
            traceback.print_exc()
            outcome = Outcome(broken=[f"{type(error).__name__}: {error}"])
    facts = asdict(outcome)
    return {
        "trial": trial.name, "promise": trial.promise, "counts": trial.counts, "server": server, "seed": seed,
        "asked": count, "seconds": round(time.monotonic() - began, 1), **facts, "broken": facts["broken"][:SHOWN],
        "broken_count": len(facts["broken"]),
    }  # fmt: skip


def in_a_process(trial: Trial, count: int, seconds: float, seed: int, server: str) -> dict[str, Any]:
    """The same in a process of its own, ended if it does not end by itself."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [
            sys.executable, str(Path(__file__)), "--only", trial.name, "--count", str(count), "--seconds", str(seconds),
            "--seed", str(seed), "--server", server, "--report", str(answer),
        ]  # fmt: skip
        finished = ended(command, seconds + GRACE_SECONDS)
        if answer.is_file():
            return dict(json.loads(answer.read_text())["trials"][0])
    words = "cut short: it did not end in its time" if finished is None else f"it died with exit code {finished}"
    return {
        "trial": trial.name, "promise": trial.promise, "counts": trial.counts, "server": server, "seed": seed,
        "asked": count, "reached": 0, "seconds": seconds, "broken": [words], "broken_count": 1, "facts": {},
    }  # fmt: skip


def ended(command: list[str], seconds: float) -> int | None:
    """Exit code of the command, which has its own process group; None if it had to be ended."""
    process = subprocess.Popen(command, cwd=HOUSE, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None


def command(target: str, minutes: float) -> dict[str, Any]:
    """A `make` target that tries promises at length."""
    needed, maker = NEEDS.get(target, (".", ""))
    if not (HOUSE / needed).exists():
        return {"command": f"make {target}", "result": f"not run: {needed} is missing ({maker} makes it)", "seconds": 0}
    began = time.monotonic()
    arguments = COMMANDS[target].format(seeds=max(1, int(minutes * SIMULATED_A_MINUTE)), half=max(0.1, minutes / 2.2))
    code = ended(["make", target, *arguments.split()], minutes * 60)
    said = {0: "held", None: "cut short by the time given"}.get(code, f"BROKEN: exit code {code}")
    return {"command": f"make {target} {arguments}".strip(), "result": said, "seconds": round(time.monotonic() - began)}


def markdown(facts: dict[str, Any]) -> str:
    """The report for people."""
    out = [
        f"Began {facts['began']}, {facts['minutes']:g} minutes given, on {facts['machine']}; commit {facts['commit']}.",
        "", "| trial | store | asked | reached | broken | seconds | seen |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in facts["trials"]:
        seen = ", ".join(f"{name} {value}" for name, value in one["facts"].items())
        out.append(
            f"| {one['trial']}: {one['counts']} | {one['server']} | {one['asked']:,} | {one['reached']:,} "
            f"| {one['broken_count']} | {one['seconds']:.0f} | {seen} |"
        )
    if facts["commands"]:
        out += ["", "| command | result | seconds |", "|---|---|---|"]
        out += [f"| `{c['command']}` | {c['result']} | {c['seconds']} |" for c in facts["commands"]]
    broken = [f"- {one['trial']} on {one['server']}, seed {one['seed']}: {words}"
              for one in facts["trials"] for words in one["broken"]]  # fmt: skip
    return "\n".join([*out, "", *broken]) + "\n"


def write(facts: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(facts, indent=1, default=str))
    target.with_suffix(".md").write_text(markdown(facts))


def night(args: argparse.Namespace, facts: dict[str, Any]) -> None:
    """All trials, then all commands; the report is written after each."""
    work = [(trial, server) for trial in TRIALS for server in trial.on if server in args.server]
    targets = [] if args.trials_alone else [t for t in COMMANDS if t in (HOUSE / "Makefile").read_text()]
    until = time.monotonic() + args.minutes * 60
    left = len(work) + 2 * len(targets)
    for trial, server in work:
        seconds = max(5.0, (until - time.monotonic()) / max(1, left))
        left -= 1
        one = in_a_process(trial, args.count or trial.night, seconds, args.seed, server)
        facts["trials"].append(one)
        print(f"{one['trial']:<28}{server:<12}{one['reached']:>9,} of {one['asked']:<9,} broken {one['broken_count']}",
              flush=True)  # fmt: skip
        write(facts, args.report)
    for target in targets:
        minutes = max(0.5, (until - time.monotonic()) / 60 / max(1, left / 2))
        left -= 2
        facts["commands"].append(command(target, minutes))
        print(f"{facts['commands'][-1]['command']}: {facts['commands'][-1]['result']}", flush=True)
        write(facts, args.report)


def commit() -> str:
    git = shutil.which("git")
    if git is None or not (HOUSE / ".git").exists():
        return "unknown"
    return subprocess.run(
        [git, "describe", "--always", "--dirty"], cwd=HOUSE, capture_output=True, text=True, check=False
    ).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=480.0, help="for everything together (default 480)")
    parser.add_argument("--only", action="append", help="these trials alone, here and now; again for more")
    parser.add_argument("--count", type=int, help="instead of the night figure")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="with --only: for each trial")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--server", action="append", choices=BOTH, help="again for both (default: both)")
    parser.add_argument("--trials-alone", action="store_true", help="without the long commands")
    parser.add_argument("--report", type=Path, default=REPORT, help=f"JSON, and Markdown beside it (default {REPORT})")
    args = parser.parse_args()
    args.server = args.server or list(BOTH)
    facts: dict[str, Any] = {
        "began": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "minutes": args.minutes, "commit": commit(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "trials": [], "commands": [],
    }  # fmt: skip
    if args.only:
        for trial in (named(name) for name in args.only):
            for server in (s for s in trial.on if s in args.server):
                facts["trials"].append(play(trial, args.count or trial.night, args.seconds, args.seed, server))
                write(facts, args.report)
        print(markdown(facts))
    else:
        night(args, facts)
        print(f"\nThe report is {args.report.with_suffix('.md')}.")
    broke = any(one["broken_count"] for one in facts["trials"])
    return 1 if broke or any("BROKEN" in c["result"] for c in facts["commands"]) else 0


if __name__ == "__main__":
    sys.exit(main())
