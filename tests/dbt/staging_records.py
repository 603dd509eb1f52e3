"""Hand-made vendor records, and the helpers that shape them; times are wall-clock times of New York."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def unix(text: str) -> int:
    """Unix seconds of a New York wall-clock time."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp())


def invoice(invoice_id: str, total: int, lines: list[dict[str, Any]], **over: Any) -> dict[str, Any]:
    transitions = {
        "finalized_at": unix("2026-03-31T23:30"),
        "voided_at": None,
        "marked_uncollectible_at": None,
        "paid_at": None,
    }
    return {
        "id": invoice_id,
        "number": f"N-{invoice_id}",
        "customer": "cus_1",
        "currency": "usd",
        "status": "open",
        "total": total,
        "status_transitions": transitions,
        "starting_balance": 0,
        "ending_balance": 0,
        "due_date": None,
        "metadata": {"salesforce_opportunity_id": "006A"},
        "lines": {"data": lines},
    } | over


def line(line_id: str, amount: int, price: str = "price_m", **over: Any) -> dict[str, Any]:
    return {
        "id": line_id,
        "amount": amount,
        "quantity": 1,
        "discount_amounts": [],
        "taxes": [],
        "period": {"start": unix("2026-03-01T00:00"), "end": unix("2026-04-01T00:00")},
        "parent": {"subscription_item_details": {"subscription": "sub_1", "proration": False}},
        "pricing": {"price_details": {"price": price, "product": "prod_1"}, "unit_amount_decimal": "1000"},
    } | over


def txn(txn_id: str, amount: int, kind: str, source: str, created: str, **over: Any) -> dict[str, Any]:
    return {
        "id": txn_id,
        "amount": amount,
        "fee": 0,
        "net": amount - over.get("fee", 0),
        "currency": "usd",
        "type": kind,
        "reporting_category": kind,
        "source": source,
        "created": unix(created),
        "exchange_rate": None,
    } | over


STRIPE: dict[str, list[dict[str, Any]]] = {
    "customer": [{"id": "cus_1", "metadata": {"salesforce_account_id": "001A"}}],
    "product": [{"id": "prod_1", "metadata": {"product_code": "STD", "product_family": "platform"}}],
    "price": [
        {
            "id": "price_m",
            "product": "prod_1",
            "currency": "usd",
            "type": "recurring",
            "unit_amount": 1000,
            "unit_amount_decimal": "1000",
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        },
        {
            "id": "price_q",
            "product": "prod_1",
            "currency": "usd",
            "type": "recurring",
            "unit_amount": 2550,
            "unit_amount_decimal": "2550",
            "recurring": {"interval": "month", "interval_count": 3, "usage_type": "licensed"},
        },
    ],
    "tax_rate": [{"id": "txr_1", "tax_type": "vat", "jurisdiction": "UNITED KINGDOM", "percentage": 20.0}],
    "subscription": [
        {
            "id": "sub_1",
            "customer": "cus_1",
            "currency": "usd",
            "status": "canceled",
            "created": unix("2026-01-31T08:00"),
            "start_date": unix("2026-01-31T00:00"),
            "billing_cycle_anchor": unix("2026-01-31T00:00"),
            "canceled_at": unix("2026-06-01T09:00"),
            "ended_at": unix("2026-06-15T00:00"),
            "metadata": {},
            "items": {"data": []},
        },
        # Sold without a schedule: its present items are its only phase.
        {
            "id": "sub_2",
            "customer": "cus_1",
            "currency": "usd",
            "status": "active",
            "created": unix("2026-02-01T08:00"),
            "start_date": unix("2026-02-01T00:00"),
            "billing_cycle_anchor": unix("2026-02-01T00:00"),
            "canceled_at": None,
            "ended_at": None,
            "metadata": {"salesforce_opportunity_id": "006B", "contract_end": "2026-08-01"},
            "items": {"data": [{"price": {"id": "price_q"}, "quantity": 2}]},
        },
        {
            "id": "sub_3",
            "customer": "cus_1",
            "currency": "usd",
            "status": "incomplete_expired",
            "created": unix("2026-02-01T08:00"),
            "start_date": unix("2026-02-01T00:00"),
            "billing_cycle_anchor": unix("2026-02-01T00:00"),
            "metadata": {},
            "items": {"data": []},
        },
    ],
    "subscription_schedule": [
        {
            "id": "sched_1",
            "subscription": "sub_1",
            "created": unix("2026-01-31T07:00"),
            "phases": [
                {
                    "start_date": unix("2026-01-31T00:00"),
                    "end_date": unix("2026-03-10T00:00"),
                    "items": [{"price": "price_m", "quantity": 2}],
                    "metadata": {
                        "salesforce_opportunity_id": "006A",
                        "amendment_kind": "new",
                        "booked_at": "2026-01-20T15:00:00Z",
                        "contract_start": "2026-01-31",
                        "contract_end": "2027-01-31",
                    },
                },
                {
                    "start_date": unix("2026-03-10T00:00"),
                    "end_date": unix("2026-06-15T00:00"),
                    "items": [{"price": "price_m", "quantity": 5}],
                    "metadata": {
                        "salesforce_opportunity_id": "006Q",
                        "amendment_kind": "quantity",
                        "booked_at": "2026-03-12T15:00:00Z",
                        "contract_start": "2026-01-31",
                        "contract_end": "2027-01-31",
                    },
                },
                {
                    "start_date": unix("2026-06-15T00:00"),
                    "end_date": unix("2027-01-31T00:00"),
                    "items": [],
                    "metadata": {
                        "salesforce_opportunity_id": "006C",
                        "amendment_kind": "cancel",
                        "booked_at": "2026-06-01T13:00:00Z",
                        "contract_start": "2026-01-31",
                        "contract_end": "2027-01-31",
                    },
                },
            ],
        },
    ],
    "invoice": [
        # Finalised at 23:30 on the last of March in New York: 1 April in UTC, March in the books.
        invoice("in_cut", 900, [line("il_1", 1000, discount_amounts=[{"amount": 100}])]),
        invoice(
            "in_incl",
            1200,
            [
                line(
                    "il_2",
                    1200,
                    taxes=[{"amount": 200, "tax_behavior": "inclusive", "tax_rate_details": {"tax_rate": "txr_1"}}],
                )
            ],
        ),
        invoice("in_draft", 0, [], status="draft", status_transitions={"finalized_at": None}),
        invoice("in_credit", -500, [line("il_3", -500)], starting_balance=-100, ending_balance=-600),
        invoice("in_void", 1000, [line("il_4", 1000)]),
    ],
    "charge": [
        {
            "id": "ch_1",
            "customer": "cus_1",
            "amount": 900,
            "amount_captured": 900,
            "currency": "usd",
            "status": "succeeded",
            "captured": True,
            "created": unix("2026-04-02T12:00"),
            "payment_intent": "pi_1",
            "balance_transaction": "txn_1",
        },
        {
            "id": "ch_0",
            "customer": "cus_1",
            "amount": 900,
            "currency": "usd",
            "status": "failed",
            "captured": False,
            "created": unix("2026-04-01T12:00"),
            "payment_intent": "pi_1",
            "balance_transaction": None,
            "failure_code": "card_declined",
        },
        {
            "id": "ch_auth",
            "customer": "cus_1",
            "amount": 50,
            "amount_captured": 0,
            "currency": "usd",
            "status": "succeeded",
            "captured": False,
            "created": unix("2026-04-01T12:00"),
            "payment_intent": "pi_2",
            "balance_transaction": None,
        },
        {
            "id": "ch_gone",
            "customer": "cus_1",
            "amount": 77,
            "currency": "usd",
            "status": "succeeded",
            "captured": True,
            "created": unix("2026-04-01T12:00"),
            "payment_intent": "pi_3",
            "balance_transaction": None,
        },
    ],
    "invoice_payment": [
        {
            "id": "inpay_1",
            "invoice": "in_cut",
            "status": "paid",
            "amount_paid": 900,
            "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
        },
    ],
    "refund": [
        {
            "id": "re_1",
            "charge": "ch_1",
            "amount": 300,
            "currency": "usd",
            "status": "failed",
            "created": unix("2026-04-05T12:00"),
            "balance_transaction": "txn_2",
            "failure_balance_transaction": "txn_3",
        },
        {
            "id": "re_wish",
            "charge": "ch_1",
            "amount": 1,
            "currency": "usd",
            "status": "pending",
            "created": unix("2026-04-05T12:00"),
            "balance_transaction": None,
        },
    ],
    "credit_note": [
        {
            "id": "cn_1",
            "invoice": "in_cut",
            "currency": "usd",
            "type": "post_payment",
            "reason": "order_change",
            "created": unix("2026-04-05T12:00"),
            "total": 700,
            "out_of_band_amount": 150,
            "refunds": [{"refund": "re_1", "amount_refunded": 300}],
            "lines": {
                "data": [
                    {
                        "id": "cnli_1",
                        "invoice_line_item": "il_1",
                        "amount": 600,
                        "discount_amount": 0,
                        "taxes": [{"amount": 100}],
                    }
                ]
            },
        },
        {
            "id": "cn_mixed",
            "invoice": "in_cut",
            "currency": "usd",
            "type": "mixed",
            "created": unix("2026-04-06T12:00"),
            "total": 0,
            "lines": {"data": []},
        },
    ],
    "dispute": [
        {
            "id": "du_1",
            "charge": "ch_1",
            "amount": 900,
            "currency": "usd",
            "status": "won",
            "created": unix("2026-05-01T12:00"),
            "metadata": {"closed_at": str(unix("2026-05-31T22:00"))},
            "balance_transactions": [{"id": "txn_4"}, {"id": "txn_5"}],
        },
    ],
    "payout": [
        {
            "id": "po_1",
            "amount": 870,
            "currency": "usd",
            "status": "failed",
            "created": unix("2026-04-09T09:00"),
            "arrival_date": unix("2026-04-11T00:00"),
            "balance_transaction": "txn_6",
            "failure_balance_transaction": "txn_7",
        },
    ],
    "payout_member": [
        {"id": "po_1:txn_1", "payout": "po_1", "balance_transaction": "txn_1"},
        {"id": "po_1:txn_6", "payout": "po_1", "balance_transaction": "txn_6"},
    ],
    "balance_transaction": [
        txn("txn_1", 900, "charge", "ch_1", "2026-04-02T12:00", fee=30, net=870),
        txn("txn_2", -300, "refund", "re_1", "2026-04-05T12:00"),
        txn("txn_3", 300, "refund_failure", "re_1", "2026-04-07T12:00"),
        txn("txn_4", -900, "adjustment", "du_1", "2026-05-01T12:00", fee=1500, net=-2400, reporting_category="dispute"),
        txn("txn_5", 900, "adjustment", "du_1", "2026-05-31T22:00", reporting_category="dispute_reversal"),
        txn("txn_6", -870, "payout", "po_1", "2026-04-09T09:00"),
        txn("txn_7", 870, "payout_failure", "po_1", "2026-04-12T09:00"),
    ],
    "balance_report": [{"id": "2026-02:kwd", "period": "2026-02", "currency": "kwd", "ending_balance": "1.234"}],
}


def cloud_event(event_id: str, data: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/x",
        "type": "invoice.posted",
        "time": "2026-03-01T02:00:00Z",
        "entityid": "US",
        "recordedtime": "2026-03-01T03:00:00+01:00",
        "dataschema": "urn:revenue-assets:invoice.posted:1",
        "data": data,
    } | over


CLOUD_EVENTS = [
    cloud_event("e1", {"invoice_id": "I1", "customer_id": "K", "currency": "USD", "lines": []}),
    # Another delivery of the same content: keys in another order, learned at another time.
    cloud_event(
        "e1",
        {"lines": [], "currency": "USD", "customer_id": "K", "invoice_id": "I1"},
        recordedtime="2026-04-01T00:00:00Z",
    ),
    cloud_event("e1", {"invoice_id": "I1", "customer_id": "K", "currency": "EUR", "lines": []}),
    cloud_event("e2", {"invoice_id": "I2"}, type="invoice.frobnicated"),
    cloud_event("e3", {"invoice_id": "I3", "currency": "USD", "lines": []}),
    cloud_event("e4", {"invoice_id": "I4", "customer_id": "K", "currency": "USD", "lines": []}, entityid="MOON"),
]

KEY = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
ERP = {
    "move": [
        {
            "id": "1",
            "number": "M1",
            "description": KEY,
            "state": "posted",
            "date": "2026-03-31",
            "period": "2026-03",
            "entity_id": "US",
            "journal": "REV",
            "lines": [
                {"id": "1", "account_code": "1100", "debit": "12.34", "credit": "0"},
                {"id": "2", "account_code": "4000", "debit": "0", "credit": "12.34"},
            ],
        },
        {
            "id": "2",
            "number": "M2",
            "description": "reclass, see mail",
            "state": "posted",
            "date": "2026-03-31",
            "period": "2026-03",
            "entity_id": "US",
            "journal": "MISC",
            "lines": [],
        },
    ],
    "account_balance": [
        {
            "id": "US:2026-03:1100",
            "entity_id": "US",
            "period": "2026-03",
            "account_code": "1100",
            "debit": "12.34",
            "credit": "0",
            "balance": "12.34",
        }
    ],
    "period": [
        {
            "id": "US:2026-03",
            "entity_id": "US",
            "name": "2026-03",
            "state": "open",
            "start_date": "2026-03-01",
            "end_date": "2026-03-31",
        }
    ],
}
