"""Compares what the platform published with what was planted: `python -m demo.score [--home DIR] [--json]`.

An item counts by (reconciliation, variance class, owning team, reference); the periods it is carried through do not
multiply it. Exit code 0 only if every planted item was found with the right class and owner, and nothing was flagged
that is neither planted nor a natural timing item; 1 otherwise; 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from demo.world.truth import TRUTH_FILE, load_truth

Signal = tuple[str, str, str, str]  # reconciliation, class, owner, reference
Key = tuple[str, str]  # reconciliation, reference

_ITEMS = """
    select
        recon_code,
        category,
        owner_team,
        coalesce(
            nullif(reference, ''), nullif(source_reference, ''), nullif(target_reference, ''), item_id
        ) as reference,
        list_sort(list(distinct period)) as periods
    from published.finance.recon_item
    where category is not null
    group by all
    order by all
"""


@dataclass
class Score:
    """Outcome of one comparison; the lists carry what a person needs to look an item up."""

    planted: int = 0
    found: int = 0
    misclassified: list[dict[str, Any]] = field(default_factory=list)
    false_alarms: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)
    natural: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, list[int]] = field(default_factory=dict)  # kind -> [planted, found]

    @property
    def passed(self) -> bool:
        """Everything found, nothing under a wrong name, nothing invented."""
        return self.found == self.planted and not (self.misclassified or self.false_alarms or self.missed)

    def as_json(self) -> dict[str, Any]:
        """The contract of `--json`."""
        return {
            "planted": self.planted,
            "found": self.found,
            "misclassified": self.misclassified,
            "false_alarms": self.false_alarms,
            "missed": self.missed,
            "natural": self.natural,
        }


def published_items(database: Path) -> dict[Signal, list[str]]:
    """Every flagged (reconciliation, class, owner, reference) of the published file, with the periods it shows in."""
    with duckdb.connect() as connection:
        # Attached under a name of its own: opened directly, file and schema are both called `finance`, and every
        # two-part name is ambiguous.
        path = str(database).replace("'", "''")
        connection.execute(f"attach '{path}' as published (read_only)")
        rows = connection.execute(_ITEMS).fetchall()
    return {(recon, category, owner, reference): periods for recon, category, owner, reference, periods in rows}


def compare(truth: dict[str, Any], items: dict[Signal, list[str]]) -> Score:
    """Set the flagged items against the ground truth."""
    flagged: dict[Key, set[Signal]] = defaultdict(set)
    for item in items:
        flagged[item[0], item[3]].add(item)
    known = {_signal(s) for entry in (*truth["planted"], *truth["natural"]) for s in entry["signals"]}
    planted_keys = {(s["recon"], s["reference"]) for plant in truth["planted"] for s in plant["signals"]}
    score = Score(planted=len(truth["planted"]))
    for plant in truth["planted"]:
        _judge(score, plant, flagged, known)
    _natural(score, truth["natural"], flagged, known, planted_keys)
    known_keys = {(recon, reference) for recon, _, _, reference in known}
    for item, periods in items.items():
        if (item[0], item[3]) not in known_keys:
            score.false_alarms.append({**_shown(item), "periods": periods})
    return score


def _judge(score: Score, plant: dict[str, Any], flagged: dict[Key, set[Signal]], known: set[Signal]) -> None:
    """Count one planted item: found, reported under another name, or missed."""
    counts = score.kinds.setdefault(plant["kind"], [0, 0])
    counts[0] += 1
    about = {"id": plant["id"], "kind": plant["kind"]}
    if not plant["signals"]:
        score.missed.append({**about, "expected": None, "reason": "it was never carried out, its reference is unknown"})
        return
    right = True
    for expected in map(_signal, plant["signals"]):
        seen = flagged[expected[0], expected[3]]
        others = [_shown(s) for s in sorted(seen - known)]
        if expected in seen and not others:
            continue
        right = False
        if others:
            score.misclassified.append({**about, "expected": _shown(expected), "reported": others})
        else:
            score.missed.append({**about, "expected": _shown(expected), "reason": "no such item was published"})
    if right:
        score.found += 1
        counts[1] += 1


def _natural(
    score: Score,
    natural: list[dict[str, Any]],
    flagged: dict[Key, set[Signal]],
    known: set[Signal],
    planted_keys: set[Key],
) -> None:
    """Timing items open at the cut-off should be classed as such; those of earlier month ends may appear."""
    expected, classed, earlier = 0, 0, 0
    missing = []
    judged: set[Key] = set()
    for entry in natural:
        for signal in map(_signal, entry["signals"]):
            key = (signal[0], signal[3])
            others = flagged[key] - known
            if others and key not in planted_keys and key not in judged:
                judged.add(key)
                reported = [_shown(s) for s in sorted(others)]
                score.misclassified.append(
                    {"id": None, "kind": entry["kind"], "expected": _shown(signal), "reported": reported}
                )
            if not entry["open_at_cut_off"]:
                earlier += signal in flagged[key]
                continue
            expected += 1
            if signal in flagged[key]:
                classed += 1
            else:
                missing.append({"kind": entry["kind"], **_shown(signal)})
    score.natural = {"expected": expected, "classed": classed, "missing": missing, "earlier_month_ends": earlier}


def _signal(entry: dict[str, str]) -> Signal:
    return entry["recon"], entry["class"], entry["owner"], entry["reference"]


def _shown(signal: Signal) -> dict[str, str]:
    return dict(zip(("recon", "class", "owner", "reference"), signal, strict=True))


def render(score: Score) -> str:
    """The score as a table for people."""
    lines = [f"{'planted kind':<30}{'planted':>9}{'found':>9}"]
    lines += [f"{kind:<30}{planted:>9}{found:>9}" for kind, (planted, found) in sorted(score.kinds.items())]
    lines.append(f"{'total':<30}{score.planted:>9}{score.found:>9}")
    natural = score.natural
    lines.append(
        f"\nnatural timing items at the cut-off: {natural['classed']} of {natural['expected']} classed as such"
    )
    for title, entries in (
        ("missed", score.missed),
        ("misclassified", score.misclassified),
        ("false alarms", score.false_alarms),
        ("natural items not shown", natural["missing"]),
    ):
        if entries:
            lines.append(f"\n{title} ({len(entries)}):")
            lines += ["  " + _row(entry) for entry in entries]
    lines.append(
        "\n" + ("All planted items found; nothing else flagged." if score.passed else "The score is not clean.")
    )
    return "\n".join(lines)


def _row(entry: dict[str, Any]) -> str:
    wanted = entry.get("expected") or (entry if "recon" in entry else None)
    text = entry.get("id") or entry.get("kind") or ""
    if wanted:
        text += f"  {wanted['recon']} {wanted['class']} ({wanted['owner']}) {wanted['reference']}"
    for other in entry.get("reported", ()):
        text += f"  <- reported as {other['class']} ({other['owner']})"
    if "reason" in entry:
        text += f"  - {entry['reason']}"
    return text.strip()


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.score", description="Score the published items.")
    default = os.environ.get("REVENUE_HOME") or str(Path.cwd() / ".revenue")
    parser.add_argument("--home", type=Path, default=Path(default), help="data directory (default: $REVENUE_HOME)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    options = parser.parse_args(arguments)
    world = options.home / "demo" / "world"
    database = options.home / "published" / "finance.duckdb"
    for path, what in ((world / TRUTH_FILE, "the demo company"), (database, "the published database")):
        if not path.is_file():
            print(f"{path} is not there: run the demo first, it makes {what}.", file=sys.stderr)
            return 2
    score = compare(load_truth(world), published_items(database))
    print(json.dumps(score.as_json(), indent=1) if options.json else render(score))
    return 0 if score.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
