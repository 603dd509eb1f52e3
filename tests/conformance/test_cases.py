"""Every open case, to the last minor unit."""

from __future__ import annotations

from pathlib import Path

import pytest
from open_cases import CASES, Built

from revenue_assets.conformance.cases import read_cases
from revenue_assets.conformance.run import as_report

IDS = [case.id for case in read_cases(CASES)]


@pytest.mark.parametrize("case_id", IDS)
def test_case(built: Built, case_id: str) -> None:
    mismatches = built.results[case_id]
    assert not mismatches, "\n".join(
        f"{m.section} {m.row} {m.column}: expected {m.expected}, actual {m.actual}" for m in mismatches
    )


def test_report_names_every_case_once(built: Built) -> None:
    report = as_report(built.cases, built.results)
    assert [entry["id"] for entry in report["cases"]] == IDS
    assert all(entry["passed"] == (not entry["mismatches"]) for entry in report["cases"])


def test_cases_are_the_files(built: Built) -> None:
    assert sorted(case.path for case in built.cases) == sorted(Path(CASES).glob("*.yaml"))
