"""The comparer itself can turn red: wrong figures, unlisted groups, missing tables, unreadable or empty folders."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from revenue_assets.conformance.cases import Case, CaseError, cloud_events, horizon, load_cases, read_case, read_cases
from revenue_assets.conformance.compare import compare_case
from revenue_assets.conformance.facts import Warehouse
from revenue_assets.conformance.run import as_report, run

CASE = """
id: tiny
code: ti
entities: [{id: ti, functional_currency: USD, time_zone: Asia/Tokyo, calendar: month}]
policy: [{entity: ti, set: {recognition: as_invoiced}}]
fx_rates: [{from: EUR, to: USD, date: '2024-01-01', type: spot, rate: '1.10'}]
events:
- id: e1
  type: invoice.posted
  time: '2024-01-31T20:00:00Z'
  data: {invoice_id: I1, customer_id: K, currency: JPY, lines: []}
expect:
  activity:
    complete: true
    rows:
    - {entity: ti, period: 2024-01, account_role: revenue, currency: JPY, amount_tc: '-10'}
    - {entity: ti, period: 2024-02, account_role: revenue, currency: JPY, amount_tc: '0'}
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    (tmp_path / "tiny.yaml").write_text(CASE, "utf-8")
    return read_case(tmp_path / "tiny.yaml")


def warehouse(case: Case, lines: list[tuple]) -> Warehouse:
    connection = duckdb.connect()
    connection.execute("create schema subledger")
    connection.execute(
        "create table subledger.journal_lines (entity_id varchar, period varchar, account_role varchar,"
        " currency varchar, prior_period boolean, amount_tc bigint, amount_fc bigint, accounting_date date)"
    )
    connection.executemany("insert into subledger.journal_lines values (?, ?, ?, ?, ?, ?, ?, ?)", lines)
    return Warehouse(connection, [case], {"JPY": 0, "USD": 2})


def line(period: str, role: str, amount: int, currency: str = "JPY") -> tuple:
    return ("ti", period, role, currency, False, amount, amount, f"{period}-15")


def test_right_figures_pass(case: Case) -> None:
    assert compare_case(case, warehouse(case, [line("2024-01", "revenue", -10)])) == []


def test_a_wrong_minor_unit_is_named(case: Case) -> None:
    (found,) = compare_case(case, warehouse(case, [line("2024-01", "revenue", -11)]))
    assert (found.column, found.expected, found.actual) == ("amount_tc", "-10", "-11")
    assert found.row == {"entity": "ti", "period": "2024-01", "account_role": "revenue", "currency": "JPY"}


def test_complete_refuses_groups_nobody_listed(case: Case) -> None:
    lines = [line("2024-01", "revenue", -10), line("2024-02", "cash", 5), line("2024-02", "cash", -5, "USD")]
    found = compare_case(case, warehouse(case, lines))
    assert {(m.row["account_role"], m.row["currency"]) for m in found} == {("cash", "JPY"), ("cash", "USD")}


def test_complete_looks_only_at_the_periods_listed(case: Case) -> None:
    lines = [line("2024-01", "revenue", -10), line("2024-03", "cash", 5), line("2023-12", "cash", 5)]
    assert compare_case(case, warehouse(case, lines)) == []


def test_a_missing_table_is_a_mismatch(case: Case) -> None:
    found = compare_case(case, Warehouse(duckdb.connect(), [case], {"JPY": 0}))
    assert [m.section for m in found] == ["activity"]


def test_events_become_cloud_events_of_the_local_day(case: Case) -> None:
    rate, invoice = cloud_events(case)
    assert rate["type"] == "fx_rate.published"
    assert rate["effectivedate"] == "2024-01-01"
    assert (invoice["id"], invoice["source"]) == ("ti-e1", "/cases/ti")
    assert invoice["entityid"] == "ti"
    assert invoice["effectivedate"] == "2024-02-01", "20:00Z on the 31st is the 1st in Tokyo"
    assert invoice["recordedtime"] == invoice["time"]
    assert horizon([case]).isoformat() == "2024-02-29"


def test_a_folder_without_cases_fails(tmp_path: Path) -> None:
    console = Console(record=True, width=400)
    assert run(tmp_path, None, tmp_path / "home", console=console) == 2
    assert "no case files" in console.export_text()


def test_an_entity_belongs_to_one_case(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CASE, "utf-8")
    (tmp_path / "b.yaml").write_text(CASE.replace("id: tiny", "id: other"), "utf-8")
    with pytest.raises(CaseError, match=r"belongs to a\.yaml already"):
        read_cases(tmp_path)


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CASE.replace("activity:", "activities:"), "utf-8")
    with pytest.raises(CaseError, match="unknown section activities"):
        read_cases(tmp_path)


def test_odd_files_are_refused_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "INDEX.md").write_text("no case", "utf-8")
    (tmp_path / "sub" / "good.yml").write_text(CASE, "utf-8")
    other = CASE.replace("id: tiny", "id: other").replace("{id: ti,", "{id: tx,").replace("entity: ti", "entity: tx")
    odd = {
        "broken": "id: cut\na: [b",
        "list": "- 1",
        "code": other,
        "date": other.replace("code: ti", "code: tx").replace("2024-01-31T20:00:00Z", "soon"),
        "stranger": other.replace("code: ti", "code: ty").replace("entity: tx, period", "entity: zz, period"),
    }
    for name, text in odd.items():
        (tmp_path / "sub" / f"{name}.yaml").write_text(text, "utf-8")
    # sorted by path, so `good.yml` comes after `code.yaml`: the later of two files with one code is the one refused
    (tmp_path / "sub" / "code.yaml").rename(tmp_path / "sub" / "z_code.yaml")
    cases, refused = load_cases(tmp_path)
    assert [case.id for case in cases] == ["tiny"]
    assert {file.id: file.reason.split(": ", 1)[1] for file in refused}["list"] == "a case is a mapping."
    assert {file.path.stem for file in refused} == {"broken", "list", "z_code", "date", "stranger"}
    report = as_report(cases, {"tiny": []}, refused)["cases"]
    assert [entry["passed"] for entry in report] == [True] + [False] * 5
    assert all(entry["mismatches"][0]["actual"] for entry in report[1:])


def test_unknown_columns_and_figures_that_are_none_fail_the_case_with_words(case: Case) -> None:
    lines = [line("2024-01", "revenue", -10)]
    rows = case.expect["activity"]["rows"]
    rows[0]["amount_cents"] = "1"
    (found,) = compare_case(case, warehouse(case, lines))
    assert (found.column, found.actual) == ("amount_cents", "unknown columns")
    del rows[0]["amount_cents"]
    rows[0]["amount_tc"] = "ten"
    (found,) = compare_case(case, warehouse(case, lines))
    assert found.expected == "rows that can be compared"


def test_a_tolerance_holds_to_its_boundary(case: Case) -> None:
    case.expect["activity"]["rows"][0]["tolerance"] = "1"
    assert compare_case(case, warehouse(case, [line("2024-01", "revenue", -11)])) == []
    assert len(compare_case(case, warehouse(case, [line("2024-01", "revenue", -12)]))) == 1
