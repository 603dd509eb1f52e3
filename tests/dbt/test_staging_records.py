"""Hand-made vendor records through staging: what each becomes, one small build for all of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from event_inputs import PAYLOADS, changed
from event_inputs import event as event_of
from staging_build import build, land, write_state
from staging_records import CLOUD_EVENTS, ERP, KEY, STRIPE, invoice, line, unix
from world_to_landing import LANDED_AT, record_id_of, world_to_landing, write_landing

from revenue_assets.landing.writer import LandingWriter
from revenue_assets.sources.cloudevents import CloudEventsSource

LATER = LANDED_AT + dt.timedelta(days=1)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    home = tmp_path_factory.mktemp("staging")
    write_state(home)
    world_to_landing(home / "no-world", home / "landing")  # every object of every source has a file, with 0 rows
    land(home, "acc", "stripe", STRIPE, entity_id="US")
    voided = invoice("in_void", 1000, [line("il_4", 1000)], status="void")
    voided["status_transitions"] |= {"voided_at": unix("2026-04-03T10:00")}
    second = {
        "invoice": [voided],
        "charge": [{"id": "ch_gone", "deleted": True}],
        "customer": [{"id": "cus_1", "deleted": True}],
    }
    land(home, "acc", "stripe", second, entity_id="US", landed_at=LATER, first_seq=100, batch_id="second")
    land(home, "erp", "tryton", ERP)
    events = [(record_id_of("cloudevents", "cloud_event", e), json.dumps(e)) for e in CLOUD_EVENTS]
    write_landing(home / "landing", "drop", "cloud_event", events, vendor="cloudevents")
    rates = [
        (
            "US:EUR:USD:2026-03-01:spot",
            json.dumps(
                {
                    "entity_id": "US",
                    "from_currency": "EUR",
                    "to_currency": "USD",
                    "rate_date": "2026-03-01",
                    "rate_type": "spot",
                    "rate": "1.20",
                }
            ),
        )
    ]
    write_landing(home / "landing", "rates", "fx_rate", rates, vendor="treasury")
    # The edge of the event contract, past the reader: what does SQL make of it?
    edge = [event_of(name, f"edge-{n}", data, source="/edge") for n, (name, data, _, _) in enumerate(PAYLOADS)]
    pairs = [(record_id_of("cloudevents", "cloud_event", e), json.dumps(e)) for e in edge]
    write_landing(home / "landing", "edge", "cloud_event", pairs, vendor="cloudevents")
    land_letters(home)
    return build(home)


def land_letters(home: Path) -> None:
    """Three refused lines by the real reader; of one of them a good version comes later."""
    bad = changed("invoice.posted", "lines.0.amount", 90.5)
    lines = [
        json.dumps(event_of("invoice.posted", "letter-open", bad, source="/letters")),
        json.dumps(event_of("invoice.posted", "letter-mended", bad, source="/letters")),
        '{"id": "letter-cut',
        json.dumps(event_of("invoice.posted", "letter-mended", source="/letters")),
    ]
    drop = home / "drop"
    drop.mkdir()
    (drop / "letters.jsonl").write_text("\n".join(lines))
    source = CloudEventsSource("letters", None, options={"drop": str(drop)})
    with LandingWriter(home / "landing", home / "quarantine", "run").open(
        source, "cloud_event", LATER.replace(tzinfo=dt.UTC)
    ) as landing:
        for page in source.pull("cloud_event", None, LATER.replace(tzinfo=dt.UTC)):
            landing.add(page)


def test_sql_accepts_exactly_what_the_reader_accepts(warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.execute("select id, verdict from canonical.event_deliveries where source = '/edge'").fetchall()
    verdicts = {event_id: verdict == "accepted" for event_id, verdict in rows}
    expected = {f"edge-{n}": accepted for n, (_, _, accepted, _) in enumerate(PAYLOADS)}
    assert {key: PAYLOADS[int(key[5:])] for key in expected if verdicts[key] != expected[key]} == {}


def test_dead_letters_wait_as_exceptions_until_their_event_is_accepted(warehouse: duckdb.DuckDBPyConnection) -> None:
    query = "select class, entity_id, subject, detail from canonical.event_exceptions where subject like 'letter-%'"
    [(exception_class, entity, subject, detail)] = warehouse.execute(query).fetchall()
    assert (exception_class, entity, subject) == ("schema_invalid", "US", "letter-open")
    assert detail.startswith("file letters.jsonl line 1: data.lines[0].amount must be a JSON integer")
    assert detail.endswith("[schema_invalid; owner: Billing ops]")
    assert event(warehouse, "letter-mended")["data"]["lines"][0]["amount"] == 9000


def event(warehouse: duckdb.DuckDBPyConnection, event_id: str) -> dict[str, Any]:
    """The accepted event of an id, `data` parsed."""
    cursor = warehouse.execute("select * from canonical.events where id = ?", [event_id])
    rows = cursor.fetchall()
    assert len(rows) == 1, f"{event_id}: {len(rows)} events"
    found = dict(zip([c[0] for c in cursor.description], rows[0], strict=True))
    return found | {"data": json.loads(found["data"])}


def ids(warehouse: duckdb.DuckDBPyConnection, pattern: str) -> set[str]:
    return {
        row[0] for row in warehouse.execute("select id from canonical.events where id like ?", [pattern]).fetchall()
    }


def test_an_invoice_belongs_to_the_day_of_its_entity(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = event(warehouse, "invoice.posted:in_cut")
    assert found["effective_date"] == dt.date(2026, 3, 31)
    assert found["time"] == dt.datetime(2026, 4, 1, 3, 30)  # noqa: DTZ001
    assert found["source"] == "/stripe/acc"
    assert (found["entity_id"], found["correlation_id"]) == ("US", "006A")
    assert found["data"]["lines"] == [
        {
            "line_id": "il_1",
            "amount": 900,
            "discount_amount": 100,
            "service_start": "2026-03-01",
            "service_end": "2026-04-01",
            "product_id": "STD",
            "product_family": "platform",
            "quantity": "1",
            "unit_price": "10",
            "charge_kind": "recurring",
            "subscription_item_id": "sub_1:price_m",
            "subscription_id": "sub_1",
        }
    ]
    assert ids(warehouse, "%in_draft") == set()


def test_a_deleted_customer_is_still_the_customer_of_old_invoices(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert event(warehouse, "invoice.posted:in_cut")["data"]["customer_id"] == "001A"


def test_a_price_that_includes_tax_is_split(warehouse: duckdb.DuckDBPyConnection) -> None:
    (found,) = event(warehouse, "invoice.posted:in_incl")["data"]["lines"]
    assert found["amount"] == 1000
    assert found["tax_lines"] == [{"tax_code": "vat", "jurisdiction": "UNITED KINGDOM", "rate": "0.2", "amount": 200}]


def test_an_invoice_below_zero_makes_credit(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert event(warehouse, "invoice.posted:in_credit")["data"]["customer_balance_applied"] == -500


def test_a_void_lands_later_and_changes_nothing_about_the_posting(warehouse: duckdb.DuckDBPyConnection) -> None:
    posted, voided = event(warehouse, "invoice.posted:in_void"), event(warehouse, "invoice.voided:in_void")
    assert (posted["landed_at"], voided["landed_at"]) == (LANDED_AT, LATER)
    assert voided["effective_date"] == dt.date(2026, 4, 3)


def test_a_change_of_quantity_ends_and_starts_the_item(warehouse: duckdb.DuckDBPyConnection) -> None:
    created = event(warehouse, "subscription.created:sub_1")
    assert created["recorded_time"] == dt.datetime(2026, 1, 20, 15)  # noqa: DTZ001
    assert created["data"]["billing"] == {"interval": "month", "anchor": "2026-01-31", "timing": "in_advance"}
    changed = event(warehouse, "amendment.booked:sub_1:2026-03-10")
    assert changed["correlation_id"] == "006Q"
    assert changed["data"]["kind"] == "quantity"
    assert [(i["action"], i["item_id"], i.get("quantity")) for i in changed["data"]["items"]] == [
        ("end", "sub_1:price_m", None),
        ("start", "sub_1:price_m", "5"),
    ]


def test_a_cancellation_ends_all_items_once(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert ids(warehouse, "amendment.booked:sub_1%") == {
        "amendment.booked:sub_1:2026-03-10",
        "amendment.booked:sub_1:2026-06-15",
    }
    cancelled = event(warehouse, "amendment.booked:sub_1:2026-06-15")
    assert cancelled["data"]["kind"] == "cancel"
    assert cancelled["data"]["items"] == [{"action": "end", "item_id": "sub_1:price_m"}]
    assert cancelled["correlation_id"] == "006C"


def test_a_subscription_without_schedule_has_its_items_as_only_phase(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = event(warehouse, "subscription.created:sub_2")
    assert found["data"]["billing"]["interval"] == "quarter"
    assert found["data"]["items"][0] | {"quantity": "2", "unit_price": "25.5"} == found["data"]["items"][0]
    assert ids(warehouse, "%sub_3%") == set()
    sales = warehouse.execute(
        "select opportunity_id, product_code, amount from canonical.can_subscription_sales "
        "where subscription_id = 'sub_2'"
    ).fetchall()
    assert sales == [("006B", "STD", 10200)]


def test_only_captured_money_is_a_payment(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert ids(warehouse, "payment.%") == {"payment.settled:ch_1", "payment.failed:ch_0"}
    settled = event(warehouse, "payment.settled:ch_1")
    assert settled["correlation_id"] == "006A"
    assert settled["data"]["applications"] == [{"invoice_id": "in_cut", "amount": 900}]
    assert settled["data"]["balance_txn"] == {
        "balance_txn_id": "txn_1",
        "account": "acc",
        "type": "charge",
        "gross": 900,
        "fee": 30,
        "net": 870,
        "currency": "USD",
    }
    assert event(warehouse, "payment.failed:ch_0")["data"]["invoice_id"] == "in_cut"


def test_a_refund_that_fails_is_undone_on_its_own_day(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert event(warehouse, "refund.issued:re_1")["data"]["credit_note_id"] == "cn_1"
    assert event(warehouse, "refund.failed:re_1")["effective_date"] == dt.date(2026, 4, 7)
    assert ids(warehouse, "%re_wish") == set()


def test_a_credit_note_says_how_it_was_settled(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = event(warehouse, "credit_note.issued:cn_1")["data"]
    assert found["lines"] == [{"invoice_line_id": "il_1", "amount": 600, "tax_amount": 100}]
    assert found["settlement"] == {"refund": 300, "customer_balance": 250, "out_of_band": 150}


def test_a_dispute_follows_the_money(warehouse: duckdb.DuckDBPyConnection) -> None:
    withdrawn = event(warehouse, "dispute.funds_withdrawn:du_1")["data"]["balance_txns"]
    assert [(t["balance_txn_id"], t["type"], t["gross"], t["fee"]) for t in withdrawn] == [
        ("txn_4", "dispute", -900, 1500)
    ]
    assert event(warehouse, "dispute.funds_reinstated:du_1")["effective_date"] == dt.date(2026, 5, 31)
    assert event(warehouse, "dispute.closed:du_1")["data"]["outcome"] == "won"


def test_a_payout_lists_its_members_without_itself(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert event(warehouse, "payout.paid:po_1")["data"]["members"] == ["txn_1"]
    assert event(warehouse, "payout.failed:po_1")["effective_date"] == dt.date(2026, 4, 12)


def test_a_balance_report_is_the_end_of_its_month_in_minor_units(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = event(warehouse, "balance.reported:2026-02:kwd")
    assert found["effective_date"] == dt.date(2026, 2, 28)
    assert found["time"] == dt.datetime(2026, 3, 1, 5)  # noqa: DTZ001  midnight in New York
    assert found["data"]["balance"] == 1234


def test_deliveries_of_one_identity(warehouse: duckdb.DuckDBPyConnection) -> None:
    first = event(warehouse, "e1")
    assert first["delivery_count"] == 2
    assert first["data"]["currency"] == "USD"
    assert first["effective_date"] == dt.date(2026, 2, 28)  # not sent: the day of `time` in New York
    assert first["recorded_time"] == dt.datetime(2026, 3, 1, 2)  # noqa: DTZ001
    query = """
        select class, subject from canonical.event_exceptions
        where vendor_record not like 'edge/%' and vendor_record not like 'letters/%' order by all
    """
    exceptions = warehouse.execute(query).fetchall()
    assert exceptions == [
        ("conflict", "I1"),
        ("schema_invalid", "I2"),
        ("schema_invalid", "I3"),
        ("schema_invalid", "cn_mixed"),
        ("unknown_reference", "I4"),
    ]


def test_a_rate_keeps_its_digits(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = event(warehouse, "fx_rate.published:US:EUR:USD:2026-03-01:spot")
    assert found["data"] == {"from": "EUR", "to": "USD", "rate": "1.20", "rate_type": "spot"}


def test_only_our_own_keys_are_keys_in_the_erp(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = warehouse.execute("select number, batch_key from staging.stg_erp__moves order by 1").fetchall()
    assert found == [("M1", KEY), ("M2", None)]
    lines = warehouse.execute(
        "select account_code, cast(debit - credit as varchar) from staging.stg_erp__move_lines order by 1"
    ).fetchall()
    assert lines == [("1100", "12.340000000"), ("4000", "-12.340000000")]


def test_the_chain_runs_from_the_sale_to_the_payout(warehouse: duckdb.DuckDBPyConnection) -> None:
    reached = warehouse.execute(
        """
        with recursive chain as (
            select 'opportunity' as kind, '006A' as id
            union
            select links.to_type, links.to_id
            from canonical.links
            inner join chain on links.from_type = chain.kind and links.from_id = chain.id
        )
        select distinct kind from chain
        """
    ).fetchall()
    assert {kind for (kind,) in reached} >= {
        "opportunity",
        "subscription",
        "item",
        "invoice",
        "payment",
        "credit_note",
        "refund",
        "dispute",
        "balance_txn",
        "payout",
    }
