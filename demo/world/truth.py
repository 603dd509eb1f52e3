"""The ground truth of a world: what was planted, and which natural timing items are to be expected.

Read by the scorer and by the demo's ERP side, never by the product. The ERP side carries out the instructions of
`erp_plants.json` and then calls `add_signals` with the references that only the ERP knows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

TRUTH_FILE = "ground_truth.json"
ERP_FILE = "erp_plants.json"

CONTROLLER, INTEGRATION, REVENUE = "Controller", "Integration", "Revenue accounting"
_OWNERS = {
    "R1": "RevOps",
    "R2": "Billing ops",
    "R3": "Billing ops",
    "R4": "AR",
    "R5": "Payments",
    "R6": "AR",
    "R7": "Treasury",
    "R8": "Treasury",
    "R9": "Treasury",
    "R10": CONTROLLER,
    "R11": REVENUE,
    "R12": REVENUE,
    "R13": "Tax",
    "R16": INTEGRATION,
}


def signal(recon: str, variance_class: str, reference: str) -> dict[str, str]:
    """How a reconciliation has to report an item; the owner follows from the reconciliation."""
    return {"recon": recon, "class": variance_class, "owner": _OWNERS[recon], "reference": reference}


def load_truth(directory: Path) -> dict[str, Any]:
    """The ground truth in a world's directory; FileNotFoundError if there is no world."""
    return json.loads((Path(directory) / TRUTH_FILE).read_text(encoding="utf-8"))


def load_erp_plants(directory: Path) -> list[dict[str, Any]]:
    """The journals to be planted in the ERP, fields as in `demo.world.plants_erp`."""
    return json.loads((Path(directory) / ERP_FILE).read_text(encoding="utf-8"))


def add_signals(directory: Path, plant_id: str, signals: list[dict[str, str]]) -> None:
    """Record how a planted ERP journal has to show, once its reference is known.

    Signals already there are not added again, so that a repeated run leaves one copy. KeyError for an unknown plant.
    """
    path = Path(directory) / TRUTH_FILE
    truth = load_truth(directory)
    for plant in truth["planted"]:
        if plant["id"] == plant_id:
            plant["signals"].extend(s for s in signals if s not in plant["signals"])
            break
    else:
        raise KeyError(f"no planted item {plant_id!r} in {path}")
    write_json(path, truth)


def expected_signals(plant: dict[str, Any], reference: str) -> list[dict[str, str]]:
    """Signals of an ERP plant once its document is known: `expect` of the instruction with the reference filled in."""
    return [signal(recon, variance_class, reference) for recon, variance_class in plant["expect"]]


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    scratch = path.with_suffix(path.suffix + ".new")
    scratch.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)
