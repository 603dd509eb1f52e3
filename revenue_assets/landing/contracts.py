"""Contracts at the edge: is what landed whole, and does it have the agreed shape? Great Expectations on small batches.

The suite of an object is built in code from its `ObjectContract`. Great Expectations is imported inside the function
(10-14 CPU seconds), gets text columns only, and looks at the youngest batches; what must hold for every row ever
landed (nothing lost, nothing altered) is checked from file footers and hashes, which is cheap.

Findings name record ids and counts, never values: values can be personal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revenue_assets.landing import read
from revenue_assets.sources.base import ObjectContract
from revenue_assets.sources.catalogue import source_class
from revenue_assets.state import currency_exponents

if TYPE_CHECKING:
    import pandas as pd

BATCHES_MAX = 5  # youngest batches looked at, per source
EXAMPLES_MAX = 10

_REGEX = {
    "minor": r"^-?\d{1,18}$",
    "major": r"^-?\d{1,28}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?$",
    "unix": r"^\d{1,11}$",
    "iso": r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$",
}


@dataclass(slots=True)
class ContractResult:
    """Outcome for one object. `statistics`: rows, batches, expectations, failed. `failing_rows`: one entry a finding:
    `{"source", "expectation", "column", "count", "record_ids"}`."""

    success: bool
    statistics: dict[str, int] = field(default_factory=dict)
    failing_rows: list[dict[str, Any]] = field(default_factory=list)

    def sentence(self, shown: int = 3) -> str | None:
        """The first findings in words: source, what does not hold, how many rows, which ones. None without any."""
        told = []
        for f in self.failing_rows[:shown]:
            column = f" of {f['column']}" if f["column"] else ""
            rows = f": {', '.join(f['record_ids'][:EXAMPLES_MAX])}" if f["record_ids"] else ""
            told.append(f"{f['source']}: '{f['expectation']}{column}' does not hold ({f['count']}{rows})")
        if len(self.failing_rows) > shown:
            told.append(f"and {len(self.failing_rows) - shown} more")
        return "; ".join(told) or None


def check_contract(
    landing_dir: Path,
    source_instances: Iterable[str],
    vendor: str,
    object_name: str,
    batches_max: int = BATCHES_MAX,
) -> ContractResult:
    """Checks the youngest `batches_max` batches of an object of each source, and that no landed row is lost.

    An object that never landed, or that is empty where its contract says it cannot be, fails.
    """
    contract = contract_of(vendor, object_name)
    findings: list[dict[str, Any]] = []
    found: list[read.LandedBatch] = []
    for source in source_instances:
        youngest = read.batches(landing_dir, source, object_name, batches_max)
        findings += _completeness(landing_dir, source, object_name, youngest, contract)
        found += youngest
    statistics = {"rows": sum(batch.rows for batch in found), "batches": len(found), "expectations": 3}
    if statistics["rows"]:
        # All sources in one frame: an evaluation costs about 0.3 s, however few its rows are.
        frame = read.fields_frame(found, _fields(contract))
        if not any(batch.control.get("transformed") for batch in found):
            findings += _altered(frame)
            statistics["expectations"] += 1
        result = validate(contract, frame)
        statistics["expectations"] += result.statistics["expectations"]
        findings += result.failing_rows
    return ContractResult(not findings, statistics | {"failed": len(findings)}, findings)


def contract_of(vendor: str, object_name: str) -> ObjectContract:
    """The contract that the vendor's adapter states for an object."""
    contracts: dict[str, ObjectContract] = getattr(source_class(vendor), "CONTRACTS")  # noqa: B009 (typed as type)
    return contracts[object_name]


def validate(contract: ObjectContract, frame: pd.DataFrame) -> ContractResult:
    """Runs the object's suite over a frame of `read.fields_frame`. Tombstones are not held to the contract."""
    live = frame[~frame["_deleted"]].drop(columns=["_deleted", "_hash_holds"]).reset_index(drop=True)
    if live.empty:
        return ContractResult(True, {"rows": 0, "expectations": 0, "failed": 0})
    if contract.currency is not None:
        live[contract.currency] = live[contract.currency].str.upper()
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": live})
    outcome = batch.validate(
        _suite(contract),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["_source", "_record_id"],
            "return_unexpected_index_query": False,
        },
    )
    findings = [_finding(item) for item in outcome.results if not item.success]
    statistics = {"rows": len(live), "expectations": len(outcome.results), "failed": len(findings)}
    return ContractResult(not findings, statistics, findings)


def _completeness(
    landing_dir: Path, source: str, object_name: str, found: list[read.LandedBatch], contract: ObjectContract
) -> list[dict[str, Any]]:
    """Rows landed are the rows the control totals name, and none of an earlier batch is gone."""
    if not found:
        return [_plain(source, "object has landed", 0)]
    findings = []
    for batch in found:
        promised = batch.control.get("rows")
        if promised != batch.rows:
            findings.append(_plain(source, f"rows of batch {batch.path.stem} equal its control total", batch.rows))
    missing = read.missing_rows(landing_dir, source, object_name)
    if missing:
        rows = read.odd_rows(landing_dir, source, object_name, EXAMPLES_MAX)
        findings.append(_plain(source, "no landed row is lost or doubled", missing) | {"record_ids": rows})
    if not contract.may_be_empty and not any(batch.rows for batch in found):
        findings.append(_plain(source, "object is not empty", 0))
    return findings


def _altered(frame: pd.DataFrame) -> list[dict[str, Any]]:
    altered = frame.loc[~frame["_hash_holds"]]
    if altered.empty:
        return []
    finding = _plain(_names(altered["_source"]), "raw text is the one received (content hash)", len(altered))
    return [finding | {"record_ids": altered["_record_id"].head(EXAMPLES_MAX).tolist()}]


def _names(sources: Iterable[str]) -> str:
    return ", ".join(sorted(set(sources)))


def _plain(source: str, expectation: str, count: int) -> dict[str, Any]:
    return {"source": source, "expectation": expectation, "column": None, "count": count, "record_ids": []}


def _fields(contract: ObjectContract) -> list[str]:
    more = [contract.currency] if contract.currency else []
    return list(dict.fromkeys([*contract.required, *contract.amounts, *contract.stamps, *more]))


def _suite(contract: ObjectContract) -> Any:
    """The object's expectations. Null amounts and stamps are a matter of `required`, not of shape."""
    gx, expect = _great_expectations()
    suite = gx.ExpectationSuite(name="landing")
    suite.add_expectation(expect.ExpectCompoundColumnsToBeUnique(column_list=["_source", "_landing_seq"]))
    suite.add_expectation(
        expect.ExpectColumnValuesToMatchRegex(column="_record_id", regex=f"^(?:{contract.id_pattern})$")
    )
    for name in contract.required:
        suite.add_expectation(expect.ExpectColumnValuesToNotBeNull(column=name))
    for names, kind in ((contract.amounts, contract.amount_kind), (contract.stamps, contract.stamp_kind)):
        for name in names:
            suite.add_expectation(expect.ExpectColumnValuesToMatchRegex(column=name, regex=_REGEX[kind]))
    if contract.currency is not None:
        known = sorted(currency_exponents())
        suite.add_expectation(expect.ExpectColumnValuesToBeInSet(column=contract.currency, value_set=known))
    return suite


def _finding(item: Any) -> dict[str, Any]:
    result, config = item.result or {}, item.expectation_config
    rows = [row for row in result.get("unexpected_index_list") or [] if isinstance(row, dict)]
    ids = [row["_record_id"] for row in rows[:EXAMPLES_MAX]]
    finding = {"source": _names(row["_source"] for row in rows), "expectation": config.type, "record_ids": ids}
    finding["column"] = config.kwargs.get("column")
    count = result.get("unexpected_count")
    if item.exception_info and "raised_exception" in item.exception_info and item.exception_info["raised_exception"]:
        finding["expectation"] = f"{config.type} could not be evaluated"
    return finding | {"count": count if isinstance(count, int) else len(rows)}


@lru_cache(maxsize=1)
def _great_expectations() -> tuple[Any, Any]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # it would send usage data from a finance machine
    import great_expectations as gx
    import great_expectations.expectations as expect

    return gx, expect


@lru_cache(maxsize=1)
def _batch_definition() -> Any:
    """An ephemeral context: nothing on disk, one data frame asset that every validation fills anew."""
    gx, _ = _great_expectations()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("landing").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("batch")
