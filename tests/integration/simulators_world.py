"""A small world by hand for the simulator tests: one CRM org, two billing accounts, one tax account.

Times are unix seconds counted from the first day of October 2026, so that a test can name a day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from demo.simulators.runtime import Secrets

DAY = 86_400
#: 2026-10-01T00:00:00Z
OCTOBER = 1_790_812_800
KEY_US = "sk_test_us_0123456789abcdef"
KEY_UK = "sk_test_uk_0123456789abcdef"
INVOICES = 250

KEYS = Secrets(
    crm_client_id="3MVG9demo",
    crm_client_secret="CRMSECRET",  # pragma: allowlist secret
    avatax_account="2000000001",
    avatax_license="TAXLICENSE",
    stripe_keys={"billing_us": KEY_US, "billing_uk": KEY_UK},
)


def write_world(directory: Path) -> Path:
    """Write the records; returns the world directory."""
    _write(directory / "crm", crm_records())
    _write(directory / "billing_us", billing_records())
    _write(directory / "billing_uk", {"customer": [customer("cus_uk1", OCTOBER, "usage@example.co.uk")]})
    _write(directory / "tax", {"transaction": tax_records()})
    return directory


def _write(directory: Path, records: dict[str, list[dict[str, Any]]]) -> None:
    directory.mkdir(parents=True)
    for name, rows in records.items():
        (directory / f"{name}.jsonl").write_text(_jsonl(rows), encoding="utf-8")


def _jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def crm_records() -> dict[str, list[dict[str, Any]]]:
    """450 opportunities (three pages of 200), a deleted account, quote lines without optional fields."""
    accounts = [
        {"Id": f"001Hu{n:010d}AAA", "Name": f"Customer {n}", "SystemModstamp": _stamp(n), "IsDeleted": n == 4}
        for n in range(5)
    ]
    accounts[0]["Name"] = "O'Hara & Söhne"
    opportunities = [
        {
            "Id": f"006Hu{n:010d}AAA",
            "AccountId": f"001Hu{n % 4:010d}AAA",
            "Name": f"Deal {n}",
            "StageName": "Closed Won" if n % 3 else "Prospecting",
            "IsWon": bool(n % 3),
            "Amount": 100.5 + n if n % 10 else None,
            "CloseDate": f"2026-10-{n % 28 + 1:02d}",
            "CurrencyIsoCode": "USD",
            "Legal_Entity__c": "US",
            "Region_Score__c": n,
            "SystemModstamp": _stamp(n),
            "IsDeleted": False,
        }
        for n in range(450)
    ]
    line = {"Id": "a0rHu0000000001AAA", "SBQQ__ProductCode__c": "SEAT", "SBQQ__NetPrice__c": 12.34}
    return {"account": accounts, "opportunity": opportunities, "quote_line": [line]}


def _stamp(n: int) -> str:
    return f"2026-10-{n // 24 % 28 + 1:02d}T{n % 24:02d}:30:00.000+0000"


def customer(record_id: str, created: int, email: str) -> dict[str, Any]:
    """A billing customer."""
    return {
        "id": record_id,
        "object": "customer",
        "created": created,
        "email": email,
        "livemode": False,
        "metadata": {},
    }


def billing_records() -> dict[str, list[dict[str, Any]]]:
    """Invoices enough for three pages, one of them with 25 lines; cash up to a payout; meters; events."""
    return {
        "customer": [customer("cus_a", OCTOBER, "ada@example.com"), customer("cus_b", OCTOBER + 1, "bob@example.com")],
        "product": [{"id": "prod_1", "object": "product", "created": OCTOBER, "active": True, "name": "Platform"}],
        "price": [_price()],
        "subscription": [_subscription("sub_a", "active", 0), _subscription("sub_b", "canceled", 1)],
        "invoice": [_invoice(n) for n in range(INVOICES)],
        "invoice_payment": [
            {
                "id": "inpay_1",
                "object": "invoice_payment",
                "created": OCTOBER,
                "invoice": "in_000",
                "status": "paid",
                "amount_paid": 1000,
                "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
            }
        ],
        "charge": [_charge("ch_0", "failed", 0, None), _charge("ch_1", "succeeded", 60, "txn_1")],
        "balance_transaction": [
            _txn("txn_0", "charge", 1230, 30, "ch_w", -10 * DAY),
            _txn("txn_1", "charge", 1000, 30, "ch_1", 100),
            _txn("txn_2", "charge", 500, 15, "ch_x", 200),
            _txn("txn_3", "payout", -970, 0, "po_1", 300),
        ],
        "payout": [
            {"id": "po_1", "object": "payout", "created": OCTOBER + 300, "amount": 970, "currency": "usd"}
            | {"arrival_date": OCTOBER + 2 * DAY, "status": "paid", "automatic": True, "balance_transaction": "txn_3"}
        ],
        "payout_member": [{"payout": "po_1", "balance_transaction": "txn_1"}],
        "balance_report": [
            {"period": "2026-09", "currency": "usd", "starting_balance": "0.00", "ending_balance": "12.00"},
            {"period": "2026-10", "currency": "usd", "starting_balance": "12.00", "ending_balance": "16.85"},
        ],
        "meter": [{"id": "mtr_1", "object": "billing.meter", "created": OCTOBER, "status": "active"}],
        "meter_event_summary": [_usage("cus_a", day) for day in range(120)] + [_usage("cus_b", 3)],
        "event": [_event(n, -40 + n * 5) for n in range(12)],
    }


def _price() -> dict[str, Any]:
    return {
        "id": "price_1",
        "object": "price",
        "created": OCTOBER,
        "active": True,
        "currency": "usd",
        "product": "prod_1",
        "type": "recurring",
        "recurring": {"interval": "month", "usage_type": "metered", "meter": "mtr_1"},
        "tiers_mode": "graduated",
        "tiers": [{"up_to": 10, "unit_amount": 0}, {"up_to": None, "unit_amount_decimal": "1.5"}],
    }


def _subscription(record_id: str, status: str, n: int) -> dict[str, Any]:
    items = [{"id": f"si_{n}", "object": "subscription_item", "price": _price(), "current_period_end": OCTOBER + n}]
    return {
        "id": record_id,
        "object": "subscription",
        "created": OCTOBER + n,
        "customer": "cus_a",
        "status": status,
        "items": {"object": "list", "data": items, "has_more": False, "url": "/v1/subscription_items"},
    }


def _invoice(n: int) -> dict[str, Any]:
    lines = [{"id": f"il_{n}_{k}", "object": "line_item", "amount": 100 + k} for k in range(25 if n == 7 else 1)]
    return {
        "id": f"in_{n:03d}",
        "object": "invoice",
        "created": OCTOBER + n * 3600,
        "customer": "cus_a" if n % 2 else "cus_b",
        "status": "paid" if n % 5 else "open",
        "total": sum(line["amount"] for line in lines),
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/in_{n:03d}/lines"},
    }


def _charge(record_id: str, status: str, after: int, txn: str | None) -> dict[str, Any]:
    return {
        "id": record_id,
        "object": "charge",
        "created": OCTOBER + after,
        "amount": 1000,
        "currency": "usd",
        "customer": "cus_a",
        "status": status,
        "payment_intent": "pi_1",
        "balance_transaction": txn,
    }


def _txn(record_id: str, kind: str, amount: int, fee: int, source: str, after: int) -> dict[str, Any]:
    return {
        "id": record_id,
        "object": "balance_transaction",
        "created": OCTOBER + after,
        "type": kind,
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
        "currency": "usd",
        "source": source,
    }


def _usage(customer_id: str, day: int) -> dict[str, Any]:
    start = OCTOBER - 100 * DAY + day * DAY
    return {
        "id": f"mtrusg_{customer_id}_{day}",
        "object": "billing.meter_event_summary",
        "aggregated_value": day,
        "start_time": start,
        "end_time": start + DAY,
        "meter": "mtr_1",
        "customer": customer_id,
    }


def _event(n: int, day: int) -> dict[str, Any]:
    kind = "invoice.paid" if n % 2 else "charge.refunded"
    data = {"object": {"id": "in_000", "object": "invoice"}}
    return {"id": f"evt_{n}", "object": "event", "created": OCTOBER + day * DAY, "type": kind, "data": data}


def tax_records() -> list[dict[str, Any]]:
    """Company US: 30 documents of September and October, one adjusted; company DE: one."""
    rows = [_tax("US", n, f"2026-{9 + n // 20:02d}-{n % 20 + 1:02d}") for n in range(30)]
    rows[3]["status"] = "Adjusted"
    rows.append({**_tax("US", 3, "2026-09-04"), "id": 103, "version": 2, "totalTax": 9.5})
    return [*rows, {**_tax("DE", 1, "2026-10-05"), "id": 201}]


def _tax(company: str, n: int, date: str) -> dict[str, Any]:
    detail = {"id": n * 100, "jurisType": "State", "jurisName": "WASHINGTON", "tax": 6.5}
    return {
        "id": n + 1,
        "code": f"in_{n:03d}",
        "companyCode": company,
        "type": "SalesInvoice",
        "status": "Committed",
        "date": date,
        "modifiedDate": f"{date}T10:00:00.000",
        "version": 1,
        "currencyCode": "USD",
        "totalAmount": 100.0,
        "totalTax": 6.5,
        "locked": False,
        "lines": [{"id": n * 10, "lineNumber": "1", "tax": 6.5, "details": [detail]}],
        "summary": [{"jurisName": "WASHINGTON", "tax": 6.5}],
    }
