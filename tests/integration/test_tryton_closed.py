"""What the ERP no longer takes: a closed period, a closed account; and what comes late. Each ends with a sentence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from erp_fixture import DETAIL_COMPANY, ErpServer, new_key
from erp_house import drained, house_of
from store_kit import House, invoice, recognition

from revenue_assets.posting.outbox import replay
from revenue_assets.store import exceptions, outbox
from revenue_assets.store.audit import canonical
from revenue_assets.store.clock import SYSTEM_CLOCK


@contextmanager
def closed(server: ErpServer, period: str) -> Iterator[None]:
    """The period of the US company, closed in the ERP for a while."""
    found = server.setup.periods["Meridian Inc"][period]
    with server.admin() as admin:
        admin.call("model.account.period.close", [found], {"company": 1})
        try:
            yield
        finally:
            admin.call("model.account.period.reopen", [found], {"company": 1})


def states(house: House) -> dict[str, str]:
    return {b["event_class"] + " " + b["period"]: b["status"] for b in outbox.all_batches(house.store)}


def complaint(house: House) -> dict[str, Any]:
    (found,) = exceptions.all_exceptions(house.store, open_only=True)
    return found


def again(house: House, server: ErpServer) -> None:
    """What finance does after the fix."""
    for batch in outbox.all_batches(house.store):
        if batch["status"] == "dead":
            replay(house.store, batch["batch_key"], actor="anna", note="corrected in the ERP")
    assert drained(house, server).is_finished


def test_a_batch_for_a_period_that_the_erp_closed_waits_for_the_controller(
    tmp_path: Path, erp_server: ErpServer
) -> None:
    """Its neighbours of open periods go on; after the period is open again it is posted under its own key, once."""
    name = tmp_path.name
    house = house_of(
        tmp_path, invoice(f"a{name}", "2026-01-05", 5_000), recognition(f"b{name}", "2026-02-28", 1_000),
    )  # fmt: skip
    with closed(erp_server, "2026-01"):
        assert drained(house, erp_server).total("dead") == 1
        assert states(house) == {"invoice.posted 2026-01": "dead", "revenue.recognised 2026-02": "verified"}
        found = complaint(house)
        assert (found["category"], found["owner_team"]) == ("period_closed", "Controller")
        assert found["error_message"] == "Period 2026-01 of Meridian Inc is closed in the ERP."
        assert found["next_action"].startswith("Reopen the period where it is closed, then replay;")
    again(house, erp_server)
    assert set(states(house).values()) == {"verified"}
    keys = [b["batch_key"] for b in outbox.all_batches(house.store)]
    assert [len(hits) for hits in erp_server.adapter().find("Meridian Inc", keys).values()] == [1, 1]
    assert exceptions.all_exceptions(house.store, open_only=True) == []


def test_a_late_document_goes_into_its_own_period_while_the_erp_has_it_open(
    tmp_path: Path, erp_server: ErpServer
) -> None:
    """January after February has been posted: Tryton numbers it later and dates it in January."""
    first = house_of(tmp_path / "first", recognition(f"c{tmp_path.name}", "2026-02-28", 1_000))
    drained(first, erp_server)
    late = house_of(tmp_path / "late", invoice(f"d{tmp_path.name}", "2026-01-09", 700))
    drained(late, erp_server)
    adapter = erp_server.adapter()
    held = [
        adapter.lines("Meridian Inc", [b["erp_document_id"]])[b["erp_document_id"]]
        for house in (first, late)
        for b in outbox.all_batches(house.store)
    ]
    assert [h.period for h in held] == ["2026-02", "2026-01"]
    assert held[1].number > held[0].number


def test_a_changed_account_map_waits_until_the_erp_follows(tmp_path: Path, erp_server: ErpServer) -> None:
    """The map names an account that the ERP lacks, and then has but keeps closed; each time a sentence says so."""
    house = house_of(tmp_path, invoice(f"e{tmp_path.name}", "2026-03-05", 800), accounts={"deferred_revenue": "2555"})
    company = {"company": 1}

    def refused() -> tuple[str, str, str]:
        found = complaint(house)
        return found["category"], found["owner_team"], found["error_message"]

    drained(house, erp_server)
    missing = "Missing in the ERP for Meridian Inc: account 2555."
    assert refused() == ("mapping_missing", "Revenue accounting", missing)
    with erp_server.admin() as admin:
        like = erp_server.setup.accounts["Meridian Inc"]["2100"]
        (row,) = admin.search_read("account.account", [["id", "=", like]], ["type"], company)
        values = {"code": "2555", "name": "Contract liabilities", "type": row["type"], "company": 1, "closed": True}
        (account,) = admin.call("model.account.account.create", [values], company)
        again(house, erp_server)
        closed_words = "Account 2555 of Meridian Inc is closed in the ERP."
        assert refused() == ("mapping_missing", "Revenue accounting", closed_words)
        admin.call("model.account.account.write", [account], {"closed": False}, company)
    again(house, erp_server)
    assert set(states(house).values()) == {"verified"}


def detail(house: House, number: str, kind: str, amounts: list[tuple[str, str, int, str | None]], **more: Any) -> None:
    """A document of its own in the outbox, as the cut writes it: (role, account, signed minor units, item)."""
    lines = [
        {
            "line_no": n, "account_role": role, "account_code": account, "currency": "EUR", "amount_tc": amount,
            "debit_fc": max(amount, 0), "credit_fc": max(-amount, 0), "product_family": None, "prior_period": False,
            "member_count": 1, "dimensions": {}, "item": item,
        }
        for n, (role, account, amount, item) in enumerate(amounts, 1)
    ]  # fmt: skip
    document = canonical(
        {"date": dt.date(2026, 3, 9), "period": "2026-03", "functional_currency": "EUR", "event_class": kind,
         "entity_id": "DE", "kind": kind, "reference": number, "lines": lines, **more}
    )  # fmt: skip
    debit = sum(line["debit_fc"] for line in lines)
    row = {
        "batch_key": outbox.content_hash(document)[:32], "content_hash": outbox.content_hash(document), "tenant": "t",
        "entity_id": "DE", "erp_company": DETAIL_COMPANY, "book": "main", "period": "2026-03", "event_class": kind,
        "rule_hash": "", "functional_currency": "EUR", "currency_set": "EUR", "accounting_date": dt.date(2026, 3, 9),
        "line_count": len(lines), "member_count": len(lines), "debit_fc": debit, "credit_fc": debit,
        "document_json": document, "mode": outbox.LIVE, "status": "planned",
        "cut_id": outbox.all_batches(house.store)[0]["cut_id"],
    }  # fmt: skip
    with house.store.write() as writer:
        kept = [
            {name: value for name, value in line.items() if name not in ("item", "dimensions")}
            | {"batch_key": row["batch_key"], "functional_currency": "EUR", "dimensions": None}
            for line in lines
        ]
        outbox.insert_batches(writer, [row], kept, SYSTEM_CLOCK.now())


def test_customer_items_invoice_and_payment_reach_the_erp_through_the_outbox(
    tmp_path: Path, erp_server: ErpServer
) -> None:
    """Nobody made the customer or the item before: the drain does. A payment of an unknown invoice goes dead alone."""
    house = house_of(tmp_path, invoice(f"f{tmp_path.name}", "2026-03-05", 900))
    who = {"id": new_key("cus"), "name": "Delta GmbH"}
    number, item = new_key("INV"), new_key("item")
    sale = [
        ("accounts_receivable", "411000", 119_00, None), ("deferred_revenue", "487000", -100_00, item),
        ("tax_liability", "445700", -19_00, None),
    ]  # fmt: skip
    paid = [("processor_clearing", "511000", 119_00, None), ("accounts_receivable", "411000", -119_00, None)]
    part = {"amount_tc": 119_00, "currency": "EUR"}
    detail(house, number, "invoice", sale, customer=who, due_date="2026-04-08", applies_to=[])
    for reference, settles in (("ch_1", number), ("ch_2", "INV-nobody-knows")):
        applies = [part | {"reference": settles}]
        detail(house, reference, "cash_application", paid, customer=who, due_date=None, applies_to=applies)
    drained(house, erp_server)
    found = [(b["event_class"], b["status"], b["last_error"]) for b in outbox.all_batches(house.store)]
    assert [row[:2] for row in found[1:]] == [
        ("invoice", "verified"), ("cash_application", "verified"), ("cash_application", "dead")
    ]  # fmt: skip
    assert "has no posted invoice INV-nobody-knows to settle" in (found[3][2] or "")
    with erp_server.admin() as admin:
        (held,) = admin.search_read(
            "account.invoice", [["reference", "=", number]], ["state", "party.name", "amount_to_pay"], {}
        )
    assert (held["state"], held["party."]["name"], held["amount_to_pay"]) == ("paid", "Delta GmbH", 0)
