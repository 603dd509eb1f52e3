"""The event contract: every type reads, every fault names its field and the fix, and the exported files are current."""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from event_inputs import PAYLOADS, changed, event
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from revenue_assets.conformance.cases import cloud_events, read_cases
from revenue_assets.domain.events import EVENT_TYPES, EventRefused, parse_event
from revenue_assets.domain.events.catalogue import page
from revenue_assets.domain.events.schemas import file_name, json_schema, money_paths, schema_text

REPOSITORY = Path(__file__).parents[2]
SCHEMAS = REPOSITORY / "schemas" / "events"
CASES = read_cases(REPOSITORY / "tests" / "conformance" / "cases")


def refusal(text: str) -> EventRefused:
    with pytest.raises(EventRefused) as refused:
        parse_event(text)
    return refused.value


@pytest.mark.parametrize(("name", "data", "accepted", "words"), PAYLOADS)
def test_payload_at_the_edge(name: str, data: Any, accepted: bool, words: str) -> None:
    text = json.dumps(event(name, data=data))
    if accepted:
        parse_event(text)
    else:
        refused = refusal(text)
        assert words in str(refused)
        assert refused.owner == EVENT_TYPES[name].owner


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("invoice.posted", "lines.0.service_end", ..., "data.lines[0] needs service_start and service_end together"),
        ("invoice.posted", "lines.0.service_end", "2019-01-01", "service_end is exclusive"),
        ("invoice.posted", "lines.0.service_end", "2019-02-30", "must be a date of the calendar"),
        ("invoice.posted", "lines.0.quantity", 1, "data.lines[0].quantity must be a decimal in quotes"),
        ("invoice.posted", "lines.0.quantity", "1e3", "must be a decimal in quotes"),
        ("invoice.posted", "lines.0.contract_line_id", "A", "needs the contract_id of that line"),
        ("invoice.posted", "lines", {}, "data.lines must be a list"),
        ("invoice.posted", "currency", "usd", "data.currency must be an ISO 4217 code"),
        ("invoice.posted", "invoice_id", "in_1\u202e\u200b001", "data.invoice_id must be an id"),
        ("invoice.posted", "invoice_id", 7, "data.invoice_id must be an id in quotes"),
        ("payment.settled", "balance_txn.net", 8710, "data.balance_txn does not add up: net must be gross - fee"),
        ("payment.settled", "channel", "cheque", "data.channel is not processor, bank or external"),
        ("payment.settled", "advance", "yes", "data.advance must be true or false"),
        ("amendment.booked", "subscription_id", ..., "data needs contract_id or subscription_id"),
        ("estimate.revised", "expected_unit_price", ..., "data needs one of variable_amount"),
        ("performance.recorded", "cumulative", ..., "data needs cumulative"),
        ("fx_rate.published", "rate", 1.2, "data.rate must be a decimal in quotes"),
        ("period.hard_closed", "period", "2024-13", "data.period must be a month"),
        ("usage.rated", "window_end", "2019-01-15", "window_end is exclusive"),
    ],
)
def test_rule_of_the_contract_names_field_and_fix(name: str, path: str, value: Any, words: str) -> None:
    assert words in str(refusal(json.dumps(event(name, data=changed(name, path, value)))))


def test_values_are_typed_and_more_fields_are_kept() -> None:
    data = changed("invoice.posted", "memo", {"score": 1.5})
    data["lines"][0]["quantity"] = "2.50"
    read = parse_event(json.dumps(event("invoice.posted", data=data, tenant="emea")))
    line = read.data.lines[0]  # type: ignore[attr-defined]
    assert (line.amount, line.quantity, line.service_start) == (9000, Decimal("2.50"), dt.date(2019, 1, 1))
    assert read.data.model_extra == {"memo": {"score": Decimal("1.5")}}
    assert read.envelope.model_extra == {"tenant": "emea"}
    with pytest.raises(ValueError, match="frozen"):
        line.amount = 1


def test_every_fault_of_a_line_is_told_and_no_value_of_it() -> None:
    data = changed("invoice.posted", "lines.0.amount", "secret-1")
    data["currency"] = "secret-2"
    refused = refusal(json.dumps(event("invoice.posted", data=data, time="secret-3", specversion="9")))
    assert len(refused.faults) == 4
    assert "secret" not in str(refused)


# The public catalogue of bad inputs, as far as it speaks of events and JSON: (id, text, words of the reason).
BAD_INPUTS = [
    ("WH09", '{"id":"evt_2","data":{"amount":"1.00","amount":"900.00"}}', 'key "amount" stands twice'),
    ("WH11", '{"id":"evt_4","data":{"amount":1e400}}', "too large"),
    ("WH13", "[" * 100_000, "nesting is deeper"),
    ("WH15", "a" * (64 * 1024 * 1024), "longer than"),
    ("WH17", json.dumps({"data": {"customer_name": "Acme\0Corp"}}), "NUL"),
    (
        "WH19",
        json.dumps(event("invoice.voided", data={"invoice_id": "in_1\u202e\u200b001"})),
        "data.invoice_id must be",
    ),
    ("WH21", '{"id":"evt_8","type":"invoice.frobnicated","data":{}}', "type is unknown"),
    ("WH25", json.dumps(event("payment.settled", data={"amount": "100.50", "currency": "JPY"})), "data.amount must be"),
    ("NaN", json.dumps(event("payment.failed", data={"payment_id": "P", "amount": float("nan")})), "NaN"),
    ("Infinity", json.dumps(event("payment.failed", data={"payment_id": "P", "amount": float("inf")})), "Infinity"),
    ("long number", '{"data":{"amount":' + "9" * 5000 + "}}", "more than 38 digits"),
    ("version", json.dumps(event("invoice.voided", dataschema="urn:revenue-assets:invoice.voided:2")), "dataschema is"),
]


@pytest.mark.parametrize(("text", "words"), [item[1:] for item in BAD_INPUTS], ids=[item[0] for item in BAD_INPUTS])
def test_bad_input_of_the_catalogue_is_refused_with_a_reason(text: str, words: str) -> None:
    assert words in str(refusal(text))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(EVENT_TYPES)), st.data())
def test_any_value_in_any_field_is_read_or_refused_with_a_sentence(name: str, data: st.DataObject) -> None:
    payload = dict(EVENT_TYPES[name].example)
    payload[data.draw(st.sampled_from(sorted(payload)))] = data.draw(JSON_VALUES)
    faults: list[str] | None = None
    try:
        parse_event(json.dumps(event(name, data=payload)))
    except EventRefused as refused:
        faults = refused.faults
    # Every kind of fault has words of its own; the last resort of the reader is never needed.
    assert faults is None or (faults and not any("not as the contract says" in fault for fault in faults))


def test_every_event_of_the_worked_examples_reads_and_validates() -> None:
    validators = {name: Draft202012Validator(json_schema(kind)) for name, kind in EVENT_TYPES.items()}
    seen = set()
    refused: Counter[str] = Counter()  # only what its case expects to be refused
    for case in CASES:
        for row in case.expect.get("exceptions", {"rows": []})["rows"]:
            if row.get("class") == "schema_invalid":
                refused[row["entity"]] -= int(row["count"])
        for envelope in cloud_events(case):
            try:
                parse_event(json.dumps(envelope))
            except EventRefused:
                refused[envelope["entityid"]] += 1
                continue
            validators[envelope["type"]].validate(envelope)
            seen.add(envelope["type"])
    assert len(seen) > 30
    assert not any(refused.values())


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_schema_is_valid_committed_and_accepts_the_example(name: str) -> None:
    kind = EVENT_TYPES[name]
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert (SCHEMAS / file_name(kind)).read_text("utf-8") == schema_text(kind), (
        "run: revenue schemas export schemas/events"
    )
    assert schema["$id"] == f"urn:revenue-assets:{name}:1"
    Draft202012Validator(schema).validate(event(name))


# JSON Schema has no word for "no two elements with the same value of this field".
BEYOND_SCHEMA = "two lines with line_id"


@pytest.mark.parametrize(
    ("name", "data"),
    [(name, data) for name, data, accepted, words in PAYLOADS if not accepted and words != BEYOND_SCHEMA],
)
def test_schema_refuses_what_the_reader_refuses(name: str, data: Any) -> None:
    data = json.loads(json.dumps(data).replace(".0", ".5"))  # JSON Schema takes 9000.0 for an integer
    assert not Draft202012Validator(json_schema(EVENT_TYPES[name])).is_valid(event(name, data=data))


def test_no_committed_schema_is_left_over_and_the_catalogue_is_current() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {file_name(kind) for kind in EVENT_TYPES.values()}
    assert (REPOSITORY / "docs" / "events.md").read_text("utf-8") == page(), "run: revenue schemas docs docs/events.md"


def test_the_example_of_the_guide_reads() -> None:
    guide = (REPOSITORY / "docs" / "ingest-events.md").read_text("utf-8")
    lines = [line for line in guide.splitlines() if line.startswith('{"specversion"')]
    assert [parse_event(line).value["id"] for line in lines] == ["inv-1001", "pay-501", "bank-88"]


def test_sql_knows_the_same_types_required_fields_and_money() -> None:
    macros = REPOSITORY / "dbt_project" / "macros"
    required = _returned(macros / "staging_events.sql", "event_required_fields")
    assert set(required) == set(EVENT_TYPES)
    for name, fields in required.items():
        # What SQL demands, the reader demands.
        assert set(fields) <= set(EVENT_TYPES[name].model.model_json_schema().get("required", [])), name
    money = {name: paths for name, kind in EVENT_TYPES.items() if (paths := money_paths(kind))}
    assert _returned(macros / "event_money.sql", "event_money_fields") == money


def _returned(path: Path, macro: str) -> dict[str, Any]:
    found = re.search(macro + r"\(\) %\}\s*\{\{ return\((\{.*?\n\})\) \}\}", path.read_text("utf-8"), re.DOTALL)
    assert found
    value: dict[str, Any] = ast.literal_eval(found[1])
    return value
