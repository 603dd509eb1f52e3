"""The finished world and its files."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.world.payouts import BANK_COLUMNS
from demo.world.treasury import FX_COLUMNS
from demo.world.truth import ERP_FILE, TRUTH_FILE, write_json


@dataclass
class World:
    """Everything the vendors would show, and the truth about it.

    `objects` maps (instance, object) to vendor-shaped records, oldest first, e.g. `("billing_us", "invoice")`.
    """

    seed: int
    customers: int
    months: int
    objects: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    fx_rates: list[tuple[str, ...]] = field(default_factory=list)
    bank_lines: list[tuple[str, ...]] = field(default_factory=list)
    ground_truth: dict[str, Any] = field(default_factory=dict)
    erp_plants: list[dict[str, Any]] = field(default_factory=list)

    def write(self, directory: Path | str) -> None:
        """Write `<instance>/<object>.jsonl`, `treasury/*.csv`, the ground truth and the ERP instructions.

        What stood in the directory under these names before is replaced. The same world gives the same bytes.
        """
        root = Path(directory)
        root.mkdir(parents=True, exist_ok=True)
        for instance in sorted({instance for instance, _ in self.objects} | {"treasury"}):
            shutil.rmtree(root / instance, ignore_errors=True)
            (root / instance).mkdir()
        for (instance, name), records in sorted(self.objects.items()):
            with (root / instance / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") as handle:
                for record in records:
                    handle.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
                    handle.write("\n")
        _write_csv(root / "treasury" / "fx_rate.csv", FX_COLUMNS, self.fx_rates)
        _write_csv(root / "treasury" / "bank_line.csv", BANK_COLUMNS, self.bank_lines)
        write_json(root / TRUTH_FILE, self.ground_truth)
        write_json(root / ERP_FILE, self.erp_plants)


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
