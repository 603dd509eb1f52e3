"""`run`: all cases of a folder through one build, compared, printed and written as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from revenue_assets.conformance.build import PROJECT, BuildError, build
from revenue_assets.conformance.cases import SECTIONS, Case, CaseError, horizon, read_cases
from revenue_assets.conformance.compare import Mismatch, compare_case
from revenue_assets.conformance.facts import Warehouse
from revenue_assets.conformance.load import write_empty_sources, write_landing, write_state
from revenue_assets.state import currency_exponents

SHOWN_PER_CASE = 3


def run(
    directory: Path, report: Path | None, work_dir: Path, *, console: Console | None = None, project: Path = PROJECT
) -> int:
    """Runs every case of `directory`; 0 only if all pass.

    `work_dir` is a scratch home that is overwritten. `report`, if given, gets
    `{"cases": [{"id", "passed", "mismatches": [{"section", "row", "column", "expected", "actual"}]}]}`.
    An empty folder, an unreadable case or a failed build returns 2 with a sentence.
    """
    console = console or Console()
    try:
        cases = read_cases(directory)
        write_landing(cases, work_dir / "landing")
        write_empty_sources(project, work_dir / "landing", work_dir / "journal")
        write_state(cases, work_dir / "state")
        console.print(f"{len(cases)} cases, one build ...")
        warehouse_file = build(work_dir, horizon(cases), project=project)
    except (CaseError, BuildError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 2
    results = compare(cases, warehouse_file)
    print_table(cases, results, console)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(as_report(cases, results), indent=2) + "\n", "utf-8")
    return 1 if any(results.values()) else 0


def compare(cases: list[Case], warehouse_file: Path) -> dict[str, list[Mismatch]]:
    """Case id -> its mismatches, against a finished build."""
    with duckdb.connect(str(warehouse_file), read_only=True) as connection:
        warehouse = Warehouse(connection, cases, currency_exponents())
        return {case.id: compare_case(case, warehouse) for case in cases}


def as_report(cases: list[Case], results: dict[str, list[Mismatch]]) -> dict:
    """The JSON report; stable order, text figures."""
    return {
        "cases": [
            {
                "id": case.id,
                "passed": not results[case.id],
                "mismatches": [
                    {
                        "section": m.section, "row": m.row, "column": m.column,
                        "expected": m.expected, "actual": m.actual,
                    }
                    for m in results[case.id]
                ],
            }
            for case in cases
        ]
    }  # fmt: skip


def print_table(cases: list[Case], results: dict[str, list[Mismatch]], console: Console) -> None:
    """One row per case with its sections and how many figures of each are wrong, then the first mismatches."""
    table = Table("result", "case", "sections", show_edge=False, pad_edge=False)
    for case in cases:
        wrong = Counter(m.section for m in results[case.id])
        words = [
            f"[red]{section.replace('_', ' ')}: {wrong[section]} wrong[/red]"
            if wrong[section]
            else section.replace("_", " ")
            for section in SECTIONS
            if section in case.expect
        ]
        table.add_row("[red]FAILED" if results[case.id] else "[green]passed", case.id, ", ".join(words))
    console.print(table)
    for case in cases:
        for mismatch in results[case.id][:SHOWN_PER_CASE]:
            row = " ".join(f"{key}={value}" for key, value in mismatch.row.items())
            console.print(
                f"{case.id}: {mismatch.section} {row} {mismatch.column}: "
                f"expected {mismatch.expected}, actual {mismatch.actual}",
                markup=False, highlight=False,
            )  # fmt: skip
        hidden = len(results[case.id]) - SHOWN_PER_CASE
        if hidden > 0:
            console.print(f"{case.id}: ... and {hidden} more", highlight=False)
    failed = [case.id for case in cases if results[case.id]]
    console.print(f"{len(cases) - len(failed)} of {len(cases)} cases pass.")
