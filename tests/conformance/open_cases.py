"""The cases of this folder and what one build of them gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.compare import Mismatch

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Built:
    """The cases, their mismatches and the folder of the build."""

    cases: list[Case]
    results: dict[str, list[Mismatch]]
    work_dir: Path
    warehouse: Path
