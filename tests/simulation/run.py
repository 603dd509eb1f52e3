"""Thousands of seeds on all cores, or one seed with its trace.

    python tests/simulation/run.py --seeds 3000            # or: make simulate SEEDS=3000
    python tests/simulation/run.py --seed 17 --behaviour no_key_late

Exits 1 if a seed breaks a promise, and says how to repeat it.
"""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit"), str(HERE.parents[1])]

from company import Company  # noqa: E402
from fake_erp import BEHAVIOURS  # noqa: E402


class Result(NamedTuple):
    seed: int
    behaviour: str
    kills: int
    documents: int
    problem: str | None


def play(seed: int, behaviour: str | None = None) -> Result:
    """One seed; what is not a broken promise but a defect of the code counts as a problem, too."""
    company = Company(seed, behaviour)
    try:
        company.run()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        return Result(seed, company.behaviour, company.kills, 0, problem)
    documents = sum(len(erp.documents) for erp in company.erps.values())
    return Result(seed, company.behaviour, company.kills, documents, None)


def one(seed: int, behaviour: str | None) -> None:
    company = Company(seed, behaviour)
    try:
        company.run()
    finally:
        print("\n".join(company.kernel.trace))
        print(f"trace {company.kernel.trace_hash}")


def many(first: int, seeds: int) -> int:
    began, failed, runs = time.monotonic(), 0, []
    with Pool() as pool:
        for result in pool.imap_unordered(play, range(first, first + seeds), chunksize=8):
            runs.append(result)
            if result.problem:
                failed += 1
                print(f"BROKEN by seed {result.seed} ({result.behaviour}): {result.problem}")
                print(f"  repeat: python tests/simulation/run.py --seed {result.seed}")
            elif len(runs) % 200 == 0:
                print(f"{len(runs):6} seeds, {failed} broken, {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{'ERP behaviour':<20}{'seeds':>8}{'kills':>8}{'documents':>11}{'broken':>8}")
    for name in sorted(BEHAVIOURS):
        own = [r for r in runs if r.behaviour == name]
        broken = sum(r.problem is not None for r in own)
        print(f"{name:<20}{len(own):>8}{sum(r.kills for r in own):>8}{sum(r.documents for r in own):>11}{broken:>8}")
    print(f"seeds {first} to {first + seeds - 1}: {failed} broken, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds (default 1000)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="play this one seed and print its trace")
    parser.add_argument("--behaviour", choices=sorted(BEHAVIOURS), help="with --seed: of the ERP; else the seed's own")
    args = parser.parse_args()
    if args.seed is not None:
        one(args.seed, args.behaviour)
        return 0
    return many(args.first, args.seeds)


if __name__ == "__main__":
    sys.exit(main())
