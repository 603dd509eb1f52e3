"""Each promise of a contract can turn red: one seeded fault per check, and none on clean data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_landing_writer import NOW, Feed, MemoryCursors, land

from revenue_assets.landing import read
from revenue_assets.landing.contracts import ContractResult, check_contract
from revenue_assets.landing.files import SCHEMA
from revenue_assets.landing.writer import LandingWriter
from revenue_assets.sources.base import Page, Record
from revenue_assets.sources.catalogue import DESCRIPTIONS, source_class


class Charges(Feed):
    """Lands what looks like the billing vendor's charges."""

    vendor = "stripe"
    OBJECTS = ("charge",)

    def __init__(self, *pages: Page) -> None:
        super().__init__(*pages, name="billing_us")
        self.CONTRACTS = source_class("stripe").CONTRACTS


def charge(n: int, **more: Any) -> Record:
    body = {"id": f"ch_{n}", "amount": 100 + n, "amount_refunded": 0, "currency": "usd", "created": 1_790_000_000}
    body |= {"status": "succeeded"} | more
    return Record(f"ch_{n}", json.dumps({key: value for key, value in body.items() if value is not ...}))


def landed(home: Path, *records: Record, **page: Any) -> Path:
    writer = LandingWriter(home / "landing", home / "quarantine", "run")
    land(Charges(Page("charge", list(records), {}, **page)), ["charge"], writer, MemoryCursors(), NOW)
    return home / "landing"


def check(landing: Path, **more: Any) -> ContractResult:
    return check_contract(landing, ["billing_us"], "stripe", "charge", **more)


def test_clean_data_pass(tmp_path: Path) -> None:
    landing = landed(tmp_path, *(charge(n) for n in range(50)))
    landed(tmp_path, charge(1, status="failed"), deleted=["ch_9"])
    result = check(landing)
    assert (result.success, result.failing_rows) == (True, [])
    assert result.statistics["rows"] == 52
    assert result.statistics["expectations"] > 10


def test_object_without_rows_passes_and_one_never_landed_fails(tmp_path: Path) -> None:
    assert check(landed(tmp_path)).success
    result = check_contract(tmp_path / "landing", ["billing_us", "billing_uk"], "stripe", "charge")
    assert [(f["source"], f["expectation"]) for f in result.failing_rows] == [("billing_uk", "object has landed")]


@pytest.mark.parametrize(
    ("fault", "column", "expectation"),
    [
        ({"status": None}, "status", "expect_column_values_to_not_be_null"),
        ({"amount": ...}, "amount", "expect_column_values_to_not_be_null"),
        ({"currency": "xxq"}, "currency", "expect_column_values_to_be_in_set"),
        ({"created": "yesterday"}, "created", "expect_column_values_to_match_regex"),
        ({"amount": 10**25}, "amount", "expect_column_values_to_match_regex"),
    ],
)
def test_a_breach_is_red_and_names_the_row_but_no_value(
    tmp_path: Path, fault: dict[str, Any], column: str, expectation: str
) -> None:
    result = check(landed(tmp_path, charge(1), charge(2, **fault), charge(3)))
    assert not result.success
    [finding] = result.failing_rows
    assert finding == {
        "source": "billing_us",
        "expectation": expectation,
        "column": column,
        "count": 1,
        "record_ids": ["ch_2"],
    }


def _rewrite(landing: Path, change: Any) -> None:
    [batch] = read.batches(landing, "billing_us", "charge")
    table = pq.read_table(batch.path)
    rows = change(table.to_pylist())
    changed = pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, batch.path)


@pytest.mark.parametrize("place", [0, 57, 99])
def test_lost_doubled_and_altered_rows_are_red(tmp_path: Path, place: int) -> None:
    def alter(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows[place]["raw"] = rows[place]["raw"].replace('"amount": 1', '"amount": 2', 1)
        return rows

    faults = {
        "lost": (lambda rows: rows[:place] + rows[place + 1 :], "equal its control total"),
        "doubled": (lambda rows: [*rows, rows[place]], "equal its control total"),
        "altered": (alter, "content hash"),
    }
    for name, (change, words) in faults.items():
        landing = landed(tmp_path / name, *(charge(n) for n in range(100)))
        assert check(landing).success
        _rewrite(landing, change)
        result = check(landing)
        assert not result.success, name
        assert any(words in finding["expectation"] for finding in result.failing_rows)
        named = {
            "lost": f"sequence {place + 1} is gone",
            "doubled": f"ch_{place} (sequence {place + 1}) stands there 2",
            "altered": f"ch_{place}",
        }
        # A file's last row leaves no gap; its batch is named, and the reconciliation of landing (R17) names the row.
        assert (named[name] in (result.sentence() or "")) is not (name == "lost" and place == 99)
    assert result.failing_rows[0]["record_ids"] == [f"ch_{place}"]


def test_a_lost_file_of_an_older_batch_is_red(tmp_path: Path) -> None:
    landing = landed(tmp_path, charge(1), charge(2))
    landed(tmp_path, charge(3))
    read.batches(landing, "billing_us", "charge")[0].path.unlink()
    result = check(landing, batches_max=1)
    assert [(f["expectation"], f["count"]) for f in result.failing_rows] == [("no landed row is lost or doubled", 2)]


@pytest.mark.parametrize("vendor", ["salesforce", "stripe", "avalara", "treasury", "cloudevents"])
def test_every_object_has_a_contract_and_a_description(vendor: str) -> None:
    adapter = source_class(vendor)
    assert set(adapter.OBJECTS) == set(adapter.CONTRACTS) == set(DESCRIPTIONS[vendor])
    assert adapter.vendor == vendor
