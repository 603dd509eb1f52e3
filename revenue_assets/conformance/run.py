"""`run`: all cases of a folder through one build, compared, printed and written as JSON."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from revenue_assets.conformance.build import PROJECT, BuildError, build
from revenue_assets.conformance.cases import SECTIONS, Case, CaseError, Refused, horizon, load_cases
from revenue_assets.conformance.compare import Mismatch, compare_case
from revenue_assets.conformance.facts import Warehouse
from revenue_assets.conformance.load import write_empty_sources, write_landing, write_state
from revenue_assets.state import currency_exponents

SHOWN_PER_CASE = 3
MOST_BUILDS = 20
# Errors that a figure or a date of one case can cause; any other one is the project's.
OF_THE_DATA = re.compile(r"(Conversion|Out of Range|Invalid Input|Constraint) Error")


def run(
    directory: Path, report: Path | None, work_dir: Path, *, console: Console | None = None, project: Path = PROJECT
) -> int:
    """Runs every case of `directory`; 0 only if all pass.

    `work_dir` is a scratch home that is overwritten. `report`, if given, gets
    `{"cases": [{"id", "passed", "mismatches": [{"section", "row", "column", "expected", "actual"}]}]}`.
    A file that is no case fails alone, with a row of section `case` that says why; so does a case that does not build.
    An empty folder, or a project that builds no case, returns 2 with a sentence.
    """
    console = console or Console()
    try:
        cases, refused = load_cases(directory)
        console.print(f"{len(cases)} cases, one build ...")
        results = _built(cases, work_dir, project, console) if cases else {}
    except (CaseError, BuildError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 2
    print_table(cases, results, console, refused)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(as_report(cases, results, refused), indent=2) + "\n", "utf-8")
    return 1 if refused or any(results.values()) else 0


def _built(cases: list[Case], work_dir: Path, project: Path, console: Console) -> dict[str, list[Mismatch]]:
    """All cases in one build; if that fails, in halves, until the case that breaks it stands alone.

    Raises BuildError if no data of a case can be the reason, or if MOST_BUILDS builds do not find it.
    """
    results: dict[str, list[Mismatch]] = {}
    waiting = [cases]
    last = BuildError("dbt could not build any case.")
    for number in range(MOST_BUILDS):
        if not waiting:
            break
        group, home = waiting.pop(), work_dir / str(number)
        try:
            write_landing(group, home / "landing")
            write_empty_sources(project, home / "landing", home / "journal")
            write_state(group, home / "state")
            results |= compare(group, build(home, horizon(group), project=project))
        except BuildError as error:
            if len(cases) == 1 or not OF_THE_DATA.search(str(error)):
                raise
            if len(group) == 1:
                results[group[0].id] = [_no_build(str(error))]
                continue
            console.print(f"dbt could not build {len(group)} cases together; they are built in halves.")
            waiting += [group[len(group) // 2 :], group[: len(group) // 2]]
            last = error
        finally:
            shutil.rmtree(home, ignore_errors=True)
    if waiting or not results or all(found and found[0].section == "case" for found in results.values()):
        raise last
    return results


def _no_build(text: str) -> Mismatch:
    said = [line for line in text.splitlines() if "rror" in line] or text.splitlines()
    return Mismatch("case", {}, "", "a build of this case", said[0].strip())


def compare(cases: list[Case], warehouse_file: Path) -> dict[str, list[Mismatch]]:
    """Case id -> its mismatches, against a finished build."""
    with duckdb.connect(str(warehouse_file), read_only=True) as connection:
        warehouse = Warehouse(connection, cases, currency_exponents())
        return {case.id: compare_case(case, warehouse) for case in cases}


def as_report(cases: list[Case], results: dict[str, list[Mismatch]], refused: Sequence[Refused] = ()) -> dict:
    """The JSON report; stable order, text figures. Files that are no case come last, with one row that says why."""
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
        ] + [
            {
                "id": file.id,
                "passed": False,
                "mismatches": [
                    {
                        "section": "case", "row": {"file": file.path.name}, "column": "",
                        "expected": "a case that can be run", "actual": file.reason,
                    }
                ],
            }
            for file in refused
        ]
    }  # fmt: skip


def print_table(
    cases: list[Case], results: dict[str, list[Mismatch]], console: Console, refused: Sequence[Refused] = ()
) -> None:
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
    for file in refused:
        table.add_row("[red]FAILED", file.id, "no case that can be run")
    console.print(table)
    for file in refused:
        console.print(file.reason, markup=False, highlight=False)
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
    console.print(f"{len(cases) - len(failed)} of {len(cases) + len(refused)} cases pass.")
