"""Bodies of invoices, credit memos and customer payments to neutral entries, as NetSuite's ledger would have them.

The receivable is line 0; an item line goes to the account of its item, with a tax of NetSuite's own beside it unless
item or document say that there is none. A payment whose body names no `arAcct` goes to the account of its form, which
need not be a receivable one. Applications are kept beside the lines: they move nothing.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from demo.erp_emulators.core import Refused
from demo.erp_emulators.ledger import Entry, EntryLine, Held
from demo.erp_emulators.netsuite_chart import LINE_FIELDS, Chart, key_of, ref
from demo.erp_emulators.netsuite_parties import NOT_TAXABLE, Parties, Party
from demo.erp_emulators.netsuite_records import BadBody, head_of, in_base, rounded

# Record type of the path -> its type in the tables.
TYPES = {"invoice": "CustInvc", "creditmemo": "CustCred", "customerpayment": "CustPymt"}
NUMBER_FIELDS = ("otherRefNum", "tranId", "custbody_ra_number")
_COMMON = {
    "externalId", "tranDate", "memo", "subsidiary", "currency", "exchangeRate", "postingPeriod", "customForm",
    *NUMBER_FIELDS,
}  # fmt: skip
_SALE = _COMMON | {"entity", "account", "item", "taxDetailsOverride", "location"}
_FIELDS = {
    "invoice": _SALE | {"dueDate", "terms", "approvalStatus"},
    "creditmemo": _SALE | {"apply"},
    "customerpayment": _COMMON | {"customer", "account", "arAcct", "payment", "apply", "autoApply", "paymentOption"},
}
_ITEM_FIELDS = {"item", "quantity", "rate", "amount", "description", *LINE_FIELDS}


def entry_of(
    record: str, values: dict[str, Any], chart: Chart, parties: Parties, documents: list[Held], *,
    strict_names: bool, posts: bool, tax: Decimal, required: tuple[str, ...],
) -> Entry:  # fmt: skip
    """The entry that NetSuite would make. `tax`: rate of the tax that it adds by itself; `required`: fields that the
    account's form asks for. Raises BadBody."""
    items = (values.get("item") or {}).get("items") or []
    unknown = sorted(set(values) - _FIELDS[record]) + sorted({k for item in items for k in item} - _ITEM_FIELDS)
    if unknown and strict_names:
        raise BadBody("INVALID_CONTENT", f"Unknown reference or field: {unknown[0]}.", unknown[0])
    values = {k: v for k, v in values.items() if k in _FIELDS[record]}
    missing = [name for name in required if name not in values]
    if missing:
        raise BadBody("USER_ERROR", f"Bitte geben Sie Werte ein für: {missing[0]}.")
    entry, rate = head_of(values, chart, posts=posts or record != "invoice")
    currency = entry.extra["currency"]
    customer = _known(
        parties, "customer", values.get("customer" if record == "customerpayment" else "entity"), "entity"
    )
    subsidiary = chart.subsidiaries[entry.company]
    if not parties.serves(customer, subsidiary):
        raise BadBody("INVALID_KEY_OR_REF", "Invalid entity reference key for this subsidiary.", "entity")
    sold: list[str | None] = [None]
    if record == "customerpayment":
        total = rounded(Decimal(str(values.get("payment", 0))), currency)
        default = sorted(chart.accounts.items())[-1][1]
        own = [("account", ref(values.get("account"))), ("arAcct", ref(values.get("arAcct")) or default)]
        accounts = [key_of(chart.accounts, number) or _bad_account(name) for name, number in own]
        lines = [_line(accounts[0], total, currency), _line(accounts[1], -total, currency)]
        sold.append(None)
    else:
        sign = 1 if record == "invoice" else -1
        lines = []
        for number, row in enumerate(items):
            item = _known(parties, "item", row.get("item"), f"item.items[{number}].item")
            if not parties.serves(item, subsidiary):
                raise BadBody("INVALID_KEY_OR_REF", "Invalid item reference key for this subsidiary.", "item")
            amount = rounded(Decimal(str(row.get("amount", 0))), currency)
            fields = {name: str(ref(row[name]) or row[name]) for name in LINE_FIELDS if row.get(name) is not None}
            account = key_of(chart.accounts, ref(item.body["incomeAccount"])) or ""
            lines.append(_line(account, -sign * amount, currency, str(row.get("description", "")), fields))
            sold.append(item.id)
            own_tax = int((amount * tax).quantize(Decimal(1), ROUND_HALF_UP))
            if own_tax and not values.get("taxDetailsOverride") and ref(item.body.get("taxSchedule")) != NOT_TAXABLE:
                lines.append(_line(sorted(chart.accounts)[-1], -sign * own_tax, currency, "Tax"))
                sold.append(None)
        receivable = key_of(chart.accounts, ref(values.get("account"))) or _bad_account("account")
        total = sign * -sum(line.amount for line in lines)
        if total < 0:
            raise BadBody("USER_ERROR", "Der Gesamtbetrag darf nicht negativ sein.")
        lines = [_line(receivable, sign * total, currency), *lines]
    applies = _applies(values, record, customer, documents, currency)
    if sum(amount for _, amount in applies) > total:
        raise BadBody("USER_ERROR", "Der angewendete Betrag übersteigt die Zahlung.")
    extra = {
        **entry.extra, "type": TYPES[record], "entity": customer.id, "duedate": values.get("dueDate"), "sold": sold,
        "applies": applies, **{name.lower(): values[name] for name in NUMBER_FIELDS if values.get(name)},
    }  # fmt: skip
    return replace(entry, kind=record, lines=tuple(in_base(lines, currency, entry.currency, rate)), extra=extra)


def over_applied(entry: Entry, documents: list[Held]) -> None:
    """Raises Refused if an application is more than is open on its invoice now."""
    unpaid = open_amounts(documents)
    for number, amount in entry.extra.get("applies", ()):
        if amount > unpaid.get(number, 0):
            raise Refused("invalid", "Der Betrag übersteigt den offenen Betrag der Rechnung.", document=entry.key)


def open_amounts(documents: list[Held]) -> dict[str, int]:
    """Invoice id -> minor units of its currency that nobody settled."""
    found = {d.id: d.entry.lines[0].amount for d in documents if d.entry.kind == "invoice" and d.entry.lines}
    for document in documents:
        for number, amount in document.entry.extra.get("applies", ()):
            if number in found:
                found[number] -= amount
    return found


def links(documents: list[Held]) -> list[dict[str, object]]:
    """Rows of `nexttransactionlinelink`: payments after invoices, credit memos before them, and rows that mislead."""
    rows: list[dict[str, object]] = []
    for document in documents:
        for number, amount in document.entry.extra.get("applies", ()):
            ends = [number, document.id]
            if document.entry.kind == "creditmemo":
                ends.reverse()
            for kind, value in (("Payment", amount), ("OrdBill", amount), ("Payment", 0)):
                rows.append(
                    {
                        "previousdoc": ends[0], "previousline": 0, "nextdoc": ends[1], "nextline": 0 if value else 1,
                        "linktype": kind, "foreignamount": value, "currency": document.entry.extra["currency"],
                    }
                )  # fmt: skip
    return rows


def _applies(
    values: dict[str, Any], record: str, customer: Party, documents: list[Held], currency: str
) -> list[tuple[str, int]]:
    found = []
    known = {d.id: d for d in documents if d.entry.kind == "invoice" and d.state == "posted"}
    for number, row in enumerate((values.get("apply") or {}).get("items", [])):
        invoice = known.get(ref(row.get("doc")) or "")
        if invoice is None or invoice.entry.extra["entity"] != customer.id:
            raise BadBody("INVALID_KEY_OR_REF", "Invalid doc reference key.", f"apply.items[{number}].doc")
        if row.get("apply", True):
            found.append((invoice.id, rounded(Decimal(str(row["amount"])), currency)))
    return found


def _known(parties: Parties, kind: str, value: Any, path: str) -> Party:
    party = parties.by_id(kind, ref(value))
    if party is None or not party.is_active:
        raise BadBody("INVALID_KEY_OR_REF", f"Invalid {kind} reference key {ref(value)}.", path)
    return party


def _bad_account(path: str) -> str:
    raise BadBody("INVALID_KEY_OR_REF", "Invalid account reference key.", path)


def _line(account: str, amount: int, currency: str, text: str = "", fields: dict[str, str] | None = None) -> EntryLine:
    return EntryLine(account, 0, 0, currency, amount, text, fields or {})
