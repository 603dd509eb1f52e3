"""A small company for the tests of reconciliation and finance: upstream tables as plain rows, written where dbt reads.

`Books` holds the rows of every upstream table. `sale()` adds one healthy chain from opportunity to bank line with its
journal; `book_and_post()` derives the journal of record, the posting batches and the ERP from the journal, as the real
rooms do. A test then breaks one thing. Money is integer minor units; days are ISO text until they are written.
"""

# ruff: noqa: E501  A table reads best on one line.
from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from landed_feed import land_feed

Row = dict[str, Any]
AS_OF = "2026-10-31"
PERIODS = ("2026-08", "2026-09", "2026-10", "2026-11")
ENTITIES = {"US": "USD", "UK": "GBP"}
ACCOUNTS = {
    "cash": "1000", "processor_clearing": "1050", "payouts_in_transit": "1060", "accounts_receivable": "1100",
    "unbilled_receivable": "1200", "intercompany_receivable": "1300", "deferred_revenue": "2100", "tax_liability": "2200",
    "intercompany_payable": "2300", "revenue": "4000", "fees": "6000",
}  # fmt: skip
OWNERS = {
    "R1": "RevOps", "R2": "Billing ops", "R3": "Billing ops", "R4": "AR", "R5": "Payments", "R6": "AR", "R7": "Treasury",
    "R8": "Treasury", "R9": "Treasury", "R10": "Controller", "R11": "Revenue accounting", "R12": "Revenue accounting",
    "R13": "Tax", "R14": "Controller", "R15": "Data platform", "R16": "Integration", "R17": "Data platform",
}  # fmt: skip
REOPENED = {"changed_at": "2026-11-02 09:00:00", "changed_by": "Ada", "approver": "Ben", "reason": "late invoice"}
# These stand in no config file: the catalogue's own owner holds.
UNCONFIGURED = {"R4", "R14", "R17"}
ENVELOPE = "event_key varchar, entity_id varchar, accounting_date date, time timestamp, sequence varchar, event_id varchar, recorded_time timestamp, correlation_id varchar"
BALANCE_TXN = "bt_id varchar, bt_gross bigint, bt_fee bigint, bt_net bigint, bt_currency varchar, bt_payout_id varchar"

# Upstream relations with the columns that these layers read: (schema, DDL).
UPSTREAM: dict[str, tuple[str, str]] = {
    "can_sales_lines": ("canonical", "entity_id varchar, opportunity_id varchar, customer_id varchar, close_date date, product_code varchar, product_family varchar, currency varchar, list_unit_price decimal(18,6), price_book_unit_price decimal(18,6), term_start date, term_end date, amount bigint, is_recurring boolean"),
    "can_subscription_sales": ("canonical", "entity_id varchar, subscription_id varchar, opportunity_id varchar, product_code varchar, currency varchar, amount bigint, term_start date, term_end date, booked_at timestamp"),
    "can_tax_documents": ("canonical", "entity_id varchar, document_id varchar, document_type varchar, status varchar, tax_date date, currency varchar, tax_amount bigint"),
    "can_invoices": ("canonical", f"{ENVELOPE}, invoice_id varchar, number varchar, customer_id varchar, currency varchar, net_amount bigint, tax_amount bigint"),
    "can_invoice_lines": ("canonical", f"{ENVELOPE}, invoice_id varchar, customer_id varchar, currency varchar, line_id varchar, amount bigint, service_start date, service_end date, charge_kind varchar, subscription_item_id varchar"),
    "can_invoice_ends": ("canonical", f"{ENVELOPE}, event_type varchar, invoice_id varchar"),
    "can_credit_notes": ("canonical", f"{ENVELOPE}, credit_note_id varchar, invoice_id varchar, currency varchar, reason varchar, net_amount bigint, stated_tax_amount bigint"),
    "can_credit_note_lines": ("canonical", "entity_id varchar, credit_note_id varchar, invoice_id varchar, invoice_line_id varchar, amount bigint, tax_amount bigint"),
    "can_credit_note_voids": ("canonical", f"{ENVELOPE}, credit_note_id varchar"),
    "can_payments": ("canonical", f"{ENVELOPE}, payment_id varchar, customer_id varchar, amount bigint, currency varchar, is_direct_charge boolean, is_advance boolean, {BALANCE_TXN}"),
    "can_refunds": ("canonical", f"{ENVELOPE}, refund_id varchar, payment_id varchar, amount bigint, currency varchar, credit_note_id varchar, {BALANCE_TXN}"),
    "can_refund_failures": ("canonical", f"{ENVELOPE}, refund_id varchar"),
    "can_dispute_txns": ("canonical", f"entity_id varchar, accounting_date date, dispute_id varchar, {BALANCE_TXN}"),
    "can_payouts": ("canonical", f"{ENVELOPE}, event_type varchar, payout_id varchar, amount bigint, currency varchar, arrival_date date, reference varchar"),
    "can_payout_members": ("canonical", "entity_id varchar, payout_id varchar, bt_id varchar"),
    "can_bank_lines": ("canonical", f"{ENVELOPE}, bank_line_id varchar, amount bigint, currency varchar, reference varchar"),
    "can_usage_rated": ("canonical", f"{ENVELOPE}, usage_id varchar, subscription_item_id varchar, customer_id varchar, window_start date, window_end date, amount bigint, currency varchar, aggregation varchar, rate_version integer"),
    "can_balance_txns_reported": ("canonical", f"{ENVELOPE}, object_id varchar, bt_type varchar, {BALANCE_TXN}"),
    "can_balances_reported": ("canonical", f"{ENVELOPE}, system varchar, account varchar, account_role varchar, currency varchar, balance bigint"),
    "can_fx_rates": ("canonical", "entity_id varchar, from_currency varchar, to_currency varchar, rate_date date, rate_type varchar, rate_e12 hugeint"),
    "events": ("canonical", "source varchar, id varchar, event_key varchar, type varchar, entity_id varchar, subject varchar, correlation_id varchar, vendor_record varchar"),
    "event_exceptions": ("canonical", "exception_key varchar, class varchar, entity_id varchar, subject varchar, event_key varchar, detail varchar"),
    "links": ("canonical", "from_type varchar, from_id varchar, to_type varchar, to_id varchar, relation varchar"),
    "journal_lines": ("subledger", "line_key varchar, entry_key varchar, entity_id varchar, accounting_date date, period varchar, event_type varchar, account_role varchar, product_family varchar, currency varchar, amount_tc bigint, functional_currency varchar, amount_fc bigint, event_key varchar, document_id varchar, document_line_id varchar, customer_id varchar, correlation_id varchar"),
    "documents": ("subledger", "entity_id varchar, document_type varchar, document_id varchar, posting_date date"),
    "reporting_balances": ("subledger", "entity_id varchar, period varchar, account_role varchar, kind varchar, functional_currency varchar, closing_fc bigint, reporting_currency varchar, closing_rc bigint, activity_rc bigint, is_translated boolean"),
    "contract_balances": ("subledger", "entity_id varchar, source_type varchar, source_id varchar, customer_id varchar, currency varchar, as_of date, liability bigint, liability_current bigint, liability_non_current bigint, asset bigint, rpo bigint, rpo_within_year bigint, rpo_later bigint, rpo_undated bigint"),
    "line_policies": ("subledger", "entity_id varchar, receivable_timing varchar"),
    "line_effects": ("subledger", "event_key varchar, kind varchar, eff_tax bigint"),
    "bank_line_matches": ("subledger", "event_key varchar, payout_id varchar, amount bigint, part_no integer, group_key varchar"),
    "cash_applications": ("subledger", "entity_id varchar, accounting_date date, payment_id varchar, invoice_id varchar, amount bigint, is_invoice_known boolean"),
    "expected_charges": ("subledger", "entity_id varchar, item_id varchar, subscription_id varchar, kind varchar, service_start date, service_end date, billing_period_start date, billing_period_end date, bill_date date, amount bigint, currency varchar, correlation_id varchar"),
    "posting_exceptions": ("subledger", "exception_key varchar, class varchar, entity_id varchar, subject varchar, event_key varchar, amount bigint, currency varchar, detail varchar, is_resolved boolean"),
    "stg_erp__moves": ("staging", "_source varchar, entity_id varchar, move_id bigint, number varchar, description varchar, state varchar, move_date date, period varchar, journal varchar, batch_key varchar, document_kind varchar, reference varchar"),
    "stg_erp__move_lines": ("staging", "entity_id varchar, move_id bigint, line_id bigint, account_code varchar, debit decimal(38,2), credit decimal(38,2), description varchar, customer_id varchar, maturity_date date, is_reconciled boolean, settles varchar"),
    "stg_erp__account_balances": ("staging", "entity_id varchar, period varchar, account_code varchar, debit decimal(38,2), credit decimal(38,2), balance decimal(38,2)"),
}  # fmt: skip

FILES: dict[str, str] = {
    "state/entities": "entity_id varchar, name varchar, functional_currency varchar, time_zone varchar, calendar varchar, erp_company varchar",
    "state/policy": "entity_id varchar, product_family varchar, currency varchar, key varchar, value varchar, policy_hash varchar",
    "state/accounts": "entity_id varchar, account_role varchar, product_family varchar, account_code varchar, account_name varchar",
    "state/recon_policy": "recon_id varchar, name varchar, area varchar, owner_team varchar, tolerance_absolute bigint, tolerance_share varchar, tolerance_days bigint, materiality_floor bigint, source_label varchar, target_label varchar, gates_close boolean",
    "state/sources": "source varchar, vendor varchar, role varchar, entity_id varchar, lead_entity_id varchar",
    "state/landing_files": "path varchar",
    "state/landing_batches": "batch_id varchar, source varchar, object varchar, row_count bigint, quarantined bigint, control_totals varchar, landed_at timestamp, path varchar, seq_from bigint, seq_to bigint, committed_at timestamp",
    "state/landing_totals": "batch_id varchar, field varchar, currency varchar, amount varchar, unit varchar, currency_field varchar",
    "state/class_owner": "variance_class varchar, owner_team varchar",
    "state/currencies": "currency varchar, exponent integer",
    "state/periods": "entity_id varchar, period varchar, start_date date, end_date_exclusive date, status varchar, closed_at timestamp, changed_at timestamp, changed_by varchar, approver varchar, reason varchar",
    "state/posting_batches": "batch_key varchar, entity_id varchar, period varchar, event_class varchar, accounting_date date, rule_hash varchar, line_count integer, member_count bigint, debit_fc bigint, credit_fc bigint, status varchar, attempts integer, erp_document_id varchar, erp_document_number varchar, posted_at timestamp, verified_at timestamp, last_error_class varchar, last_error varchar, document_json varchar",
    "state/posting_batch_lines": "batch_key varchar, line_no integer, account_role varchar, account_code varchar, currency varchar, amount_tc bigint, functional_currency varchar, debit_fc bigint, credit_fc bigint, product_family varchar, prior_period boolean, member_count bigint",
    "state/unposted_lines": "booked_line_id varchar, entity_id varchar, period varchar, event_class varchar, currency varchar, waits varchar, owner_team varchar, explanation varchar, amount_fc bigint",
    "state/shadow_batch_lines": "batch_key varchar, entity_id varchar, period varchar, event_class varchar, account_role varchar, account_code varchar, currency varchar, functional_currency varchar, amount_tc bigint, debit_fc bigint, credit_fc bigint, member_count bigint, line_no integer",
    "state/exceptions": "exception_id varchar, recon_id varchar, category varchar, entity_id varchar, period varchar, currency varchar, amount bigint, owner_team varchar, assignee varchar, status varchar, source_reference varchar, first_seen_at timestamp, opened_at timestamp, resolution varchar, resolved_at timestamp",
    "journal/lines/all": "booked_line_id varchar, booking_id varchar, booked_at timestamp, entry_key varchar, entry_hash varchar, reverses_booking_id varchar, sign integer, posting_period varchar, posting_date date, prior_period boolean, line_key varchar, line_no integer, book varchar, entity_id varchar, accounting_date date, period varchar, service_period varchar, event_key varchar, event_type varchar, document_type varchar, document_id varchar, document_line_id varchar, account_role varchar, currency varchar, amount_tc bigint, functional_currency varchar, amount_fc bigint, product_family varchar, customer_id varchar, jurisdiction varchar, tax_code varchar, correlation_id varchar, policy_hash varchar",
    "journal/members/all": "booked_line_id varchar, batch_key varchar, batch_line_no integer, cut_id varchar",
}  # fmt: skip


def month(day: str) -> str:
    return day[:7]


def digest(*parts: object) -> str:
    return hashlib.md5("|".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Books:
    """All upstream rows by table name, and the ERP as it would answer. `erp` maps move id -> move with lines."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    journal: list[Row] = field(default_factory=list)
    erp: dict[int, Row] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # entry key -> kind of the document that it is by itself
    tolerances: dict[str, Row] = field(default_factory=dict)
    reopened: tuple[str, str] | None = None  # (entity, period)
    damage: Callable[[Path, dict[str, str]], None] | None = None  # done to the landed files

    def add(self, table: str, **values: Any) -> Row:
        """Appends a row; envelope columns that are not given are filled from its date."""
        if table != "journal_lines" and "event_key" in UPSTREAM.get(table, ("", ""))[1] and "accounting_date" in values:
            number = len(self.tables[table])
            key = digest(table, number, *values.values())
            values = {
                "event_key": key, "event_id": f"{table}-{number:05d}", "sequence": "",
                "time": f"{values['accounting_date']} 12:00:00", "recorded_time": f"{values['accounting_date']} 12:00:00",
            } | values  # fmt: skip
        self.tables[table].append(values)
        return values

    def entry(self, entity: str, day: str, event: str, document: tuple[str, str], *lines: tuple[str, int],
              line_id: str | None = None, **more: Any) -> None:  # fmt: skip
        """One balanced journal entry in functional currency: (role, amount), debit positive; `line_id` of the document
        stands on all lines but the receivable's."""
        assert sum(amount for _, amount in lines) == 0, lines
        key = digest(entity, day, event, *document, *lines)
        for number, (role, amount) in enumerate(lines, 1):
            self.journal.append({
                "line_key": digest(key, number), "entry_key": key, "entry_hash": key, "line_no": number, "book": "main",
                "entity_id": entity, "accounting_date": day, "period": month(day), "service_period": month(day),
                "event_key": digest(*document), "event_type": event, "document_type": document[0],
                "document_id": document[1], "document_line_id": None if role == "accounts_receivable" else line_id,
                "account_role": role,
                "currency": ENTITIES[entity], "amount_tc": amount, "functional_currency": ENTITIES[entity],
                "amount_fc": amount, "product_family": "platform", "customer_id": None, "jurisdiction": None,
                "tax_code": None, "correlation_id": None, "policy_hash": "p1",
            } | more)  # fmt: skip

    # ---- the healthy chain ---------------------------------------------------------------------------------------

    def sold(self, entity: str, tag: str, amount: int = 36000, **changes: Any) -> Row:
        return self.add("can_sales_lines", **({
            "entity_id": entity, "opportunity_id": f"opp_{tag}", "customer_id": f"cus_{tag}", "close_date": "2026-08-03",
            "product_code": "PLAT", "product_family": "platform", "currency": ENTITIES[entity], "list_unit_price": "30.00",
            "price_book_unit_price": "30.00", "term_start": "2026-08-05", "term_end": "2027-08-05", "amount": amount,
            "is_recurring": True,
        } | changes))  # fmt: skip

    def subscribed(self, entity: str, tag: str, amount: int = 36000, **changes: Any) -> Row:
        return self.add("can_subscription_sales", **({
            "entity_id": entity, "subscription_id": f"sub_{tag}", "opportunity_id": f"opp_{tag}", "product_code": "PLAT",
            "currency": ENTITIES[entity], "amount": amount, "term_start": "2026-08-05", "term_end": "2027-08-05",
            "booked_at": "2026-08-04 09:00:00",
        } | changes))  # fmt: skip

    def expected(self, entity: str, tag: str, day: str, amount: int = 3000, **changes: Any) -> Row:
        return self.add("expected_charges", **({
            "entity_id": entity, "item_id": f"sub_{tag}:price", "subscription_id": f"sub_{tag}", "kind": "charge",
            "service_start": day, "service_end": later(day), "billing_period_start": day, "billing_period_end": later(day),
            "bill_date": day, "amount": amount, "currency": ENTITIES[entity], "correlation_id": f"opp_{tag}",
        } | changes))  # fmt: skip

    def invoice(self, entity: str, tag: str, day: str, amount: int = 3000, tax: int = 300, *, number: str = "",
                taxed: bool = True, **line: Any) -> str:  # fmt: skip
        """An invoice with one line, its tax document and journal entry; returns its id."""
        invoice = f"in_{tag}_{day}{number}"
        common = {"entity_id": entity, "accounting_date": day, "invoice_id": invoice, "customer_id": f"cus_{tag}",
                  "currency": ENTITIES[entity], "correlation_id": f"opp_{tag}"}  # fmt: skip
        self.add("can_invoices", **common, net_amount=amount, tax_amount=tax)
        self.add("can_invoice_lines", **(common | {
            "line_id": f"il_{invoice}", "amount": amount, "service_start": day, "service_end": later(day),
            "charge_kind": "recurring", "subscription_item_id": f"sub_{tag}:price",
        } | line))  # fmt: skip
        if taxed:
            self.add("can_tax_documents", entity_id=entity, document_id=invoice, document_type="invoice", status="Committed",
                     tax_date=day, currency=ENTITIES[entity], tax_amount=tax)  # fmt: skip
        self.entry(entity, day, "invoice.posted", ("invoice", invoice), ("accounts_receivable", amount + tax),
                   ("deferred_revenue", -amount), ("tax_liability", -tax), line_id=f"il_{invoice}")  # fmt: skip
        self.entry(entity, month_end(day), "revenue.recognised", ("invoice", invoice),
                   ("deferred_revenue", amount // 2), ("revenue", -(amount // 2)))  # fmt: skip
        return invoice

    def detail(self, entity: str, tag: str, day: str, *payments: int) -> str:
        """An invoice of 3300 that the ERP has as its own, and payments of it; returns its id."""
        invoice = self.invoice(entity, tag, day)
        self.kinds[next(x["entry_key"] for x in self.journal if x["document_id"] == invoice)] = "invoice"
        for amount in payments:
            self.entry(entity, day, "payment.settled", ("invoice", invoice), ("processor_clearing", amount),
                       ("accounts_receivable", -amount))  # fmt: skip
            self.kinds[self.journal[-1]["entry_key"]] = "cash_application"
        return invoice

    def credit_note(self, entity: str, note: str, invoice: str, day: str, amount: int, tax: int | None, *,
                    reason: str = "product_unsatisfactory", booked: int | None = None) -> str:  # fmt: skip
        """A credit note on one line of an invoice with its tax document and entry; `booked` is what the entry credits
        net of tax. Without a tax of its own the ledger derives a tenth."""
        key, line = digest("credit_note", note), f"il_{invoice}"
        self.add("can_credit_notes", entity_id=entity, accounting_date=day, event_key=key, credit_note_id=note,
                 invoice_id=invoice, currency=ENTITIES[entity], reason=reason, net_amount=amount,
                 stated_tax_amount=tax or 0)  # fmt: skip
        self.add("can_credit_note_lines", entity_id=entity, credit_note_id=note, invoice_id=invoice, invoice_line_id=line,
                 amount=amount, tax_amount=tax)  # fmt: skip
        if tax:
            self.add("can_tax_documents", entity_id=entity, document_id=note, document_type="credit_note",
                     status="Committed", tax_date=day, currency=ENTITIES[entity], tax_amount=-tax)  # fmt: skip
        net, taxed = amount if booked is None else booked, amount // 10 if tax is None else tax
        self.entry(entity, day, "credit_note.issued", ("credit_note", note), ("accounts_receivable", -net - taxed),
                   ("deferred_revenue", net), ("tax_liability", taxed), line_id=line)  # fmt: skip
        return note

    def transaction(self, entity: str, day: str, txn: str, object_id: str, kind: str, gross: int, fee: int = 0) -> Row:
        """The processor's own report line; returns the bt_* columns for the document that uses it."""
        columns = {
            "bt_id": txn,
            "bt_gross": gross,
            "bt_fee": fee,
            "bt_net": gross - fee,
            "bt_currency": ENTITIES[entity],
        }
        self.add("can_balance_txns_reported", entity_id=entity, accounting_date=day, object_id=object_id, bt_type=kind,
                 **columns)  # fmt: skip
        return columns

    def payment(self, entity: str, tag: str, day: str, amount: int = 3300, *, invoice: str | None = None) -> Row:
        payment = f"ch_{tag}_{day}"
        columns = self.transaction(entity, day, f"txn_{payment}", payment, "charge", amount, 100)
        row = self.add("can_payments", entity_id=entity, accounting_date=day, payment_id=payment, customer_id=f"cus_{tag}",
                       amount=amount, currency=ENTITIES[entity], is_direct_charge=False, is_advance=False,
                       correlation_id=f"opp_{tag}", **columns)  # fmt: skip
        if invoice:
            self.add("cash_applications", is_invoice_known=True, entity_id=entity, accounting_date=day, payment_id=payment,
                     invoice_id=invoice, amount=amount)  # fmt: skip
        self.entry(entity, day, "payment.settled", ("payment", payment), ("processor_clearing", amount - 100),
                   ("fees", 100), ("accounts_receivable", -amount))  # fmt: skip
        return row

    def payout(self, entity: str, tag: str, day: str, members: list[Row], *, amount: int | None = None,
               arrives: str | None = None) -> str:  # fmt: skip
        """A payout of its members, and the bank line of `arrives` unless it has not arrived."""
        payout = f"po_{tag}_{day}"
        amount = sum(m["bt_net"] for m in members) if amount is None else amount
        common = {"entity_id": entity, "currency": ENTITIES[entity], "amount": amount, "reference": payout}
        self.add(
            "can_payouts", accounting_date=day, event_type="payout.paid", payout_id=payout, arrival_date=day, **common
        )
        for member in members:
            self.add("can_payout_members", entity_id=entity, payout_id=payout, bt_id=member["bt_id"])
        self.transaction(entity, day, f"txn_{payout}", payout, "payout", -amount)
        self.entry(entity, day, "payout.paid", ("payout", payout), ("payouts_in_transit", amount),
                   ("processor_clearing", -amount))  # fmt: skip
        if arrives:
            self.add("can_bank_lines", accounting_date=arrives, bank_line_id=f"bl_{payout}", **common)
            self.entry(entity, arrives, "bank.line_posted", ("bank_line", f"bl_{payout}"), ("cash", amount),
                       ("payouts_in_transit", -amount))  # fmt: skip
        return payout

    def sale(self, entity: str, tag: str) -> None:
        """Three months of a subscription: sold, subscribed, billed, taxed, paid, paid out, banked."""
        self.sold(entity, tag)
        self.subscribed(entity, tag)
        for day in ("2026-08-05", "2026-09-05", "2026-10-05"):
            self.expected(entity, tag, day)
            invoice = self.invoice(entity, tag, day)
            payment = self.payment(entity, tag, day, invoice=invoice)
            if month(day) != "2026-10":
                self.payout(entity, tag, f"{month(day)}-20", [payment], arrives=f"{month(day)}-22")

    # ---- what follows from the journal ---------------------------------------------------------------------------

    def report_balances(self, missing: dict[tuple[str, str], int] | None = None) -> None:
        """The processor's month-end balances: clearing of the journal less what `missing` says per (entity, month)."""
        for entity, currency in ENTITIES.items():
            for period in PERIODS[:3]:
                balance = sum(line["amount_fc"] for line in self.journal if line["entity_id"] == entity
                              and line["account_role"] == "processor_clearing" and line["period"] <= period)  # fmt: skip
                self.add("can_balances_reported", entity_id=entity, accounting_date=month_end(period), system="processor",
                         account="default", currency=currency, balance=balance - (missing or {}).get((entity, period), 0))  # fmt: skip

    def book_and_post(self) -> None:
        """Journal of record, one batch per (entity, period, event class), verified, and the same in the ERP."""
        groups: dict[tuple[str, ...], dict[tuple[str, int], list[Row]]] = defaultdict(lambda: defaultdict(list))
        for line in self.journal:
            self.add("journal_lines", **{k: line.get(k) for k in (
                "line_key", "entry_key", "entity_id", "accounting_date", "period", "event_type", "account_role",
                "currency", "amount_tc", "functional_currency", "amount_fc", "event_key", "document_id",
                "document_line_id", "customer_id", "correlation_id")})  # fmt: skip
            booking = f"bk_{line['entity_id']}_{line['period']}"
            booked = line | {
                "booked_line_id": digest(booking, line["line_key"]), "booking_id": booking,
                "booked_at": "2026-11-01 06:00:00", "reverses_booking_id": None, "sign": 1, "prior_period": False,
                "posting_period": line["period"], "posting_date": line["accounting_date"],
            }  # fmt: skip
            self.add("journal/lines/all", **booked)
            side = 1 if line["amount_fc"] > 0 else -1
            alone = line["entry_key"] if line["entry_key"] in self.kinds else ""
            group = groups[line["entity_id"], line["period"], line["event_type"], alone]
            group[line["account_role"], side].append(booked)
        for (entity, period, event, alone), lines in sorted(groups.items()):
            self._post(entity, period, event, alone, lines)

    def _post(self, entity: str, period: str, event: str, alone: str, lines: dict[tuple[str, int], list[Row]]) -> None:
        """One batch and its document in the ERP; that of an entry that is posted `alone` says what it is."""
        key = f"key_{entity}_{period}_{event}{alone}"
        kind = self.kinds.get(alone)
        invoice = next(iter(lines.values()))[0]["document_id"] if kind else None
        move_id = len(self.erp) + 1
        move: Row = {"entity_id": entity, "move_id": move_id, "number": f"{entity}{move_id:05d}", "description": key,
                     "state": "posted", "move_date": month_end(period), "period": period, "journal": "REV",
                     "batch_key": key, "lines": [], "document_kind": "invoice" if kind == "invoice" else None,
                     "reference": invoice if kind == "invoice" else None}  # fmt: skip
        debit = 0
        for number, ((role, side), members) in enumerate(sorted(lines.items()), 1):
            amount = sum(m["amount_fc"] for m in members)
            debit += max(amount, 0)
            self.add("state/posting_batch_lines", batch_key=key, line_no=number, account_role=role,
                     account_code=ACCOUNTS[role], currency=ENTITIES[entity], amount_tc=amount,
                     functional_currency=ENTITIES[entity], debit_fc=max(amount, 0), credit_fc=max(-amount, 0),
                     product_family="platform", prior_period=False, member_count=len(members))  # fmt: skip
            for member in members:
                self.add("journal/members/all", booked_line_id=member["booked_line_id"], batch_key=key,
                         batch_line_no=number, cut_id="cut1")  # fmt: skip
            named = {"customer_id": "cus", "settles": invoice if kind == "cash_application" else None,
                     "is_reconciled": False}  # fmt: skip
            move["lines"].append({"account_code": ACCOUNTS[role], "debit": max(amount, 0), "credit": max(-amount, 0),
                                  **(named if kind and role == "accounts_receivable" else {})})  # fmt: skip
            assert side * amount > 0
        self.add("state/posting_batches", batch_key=key, entity_id=entity, period=period, event_class=event,
                 accounting_date=month_end(period), rule_hash="r1", line_count=len(lines),
                 member_count=sum(map(len, lines.values())), debit_fc=debit, credit_fc=debit, status="verified",
                 document_json=f'{{"kind":"{kind}"}}' if kind else "{}", attempts=1, erp_document_id=str(move_id), erp_document_number=move["number"],
                 posted_at="2026-11-01 07:00:00", verified_at="2026-11-01 07:01:00")  # fmt: skip
        self.erp[move_id] = move

    def batch(self, entity: str, period: str, event: str) -> tuple[Row, Row]:
        """(batch row, ERP move) of one group."""
        key = f"key_{entity}_{period}_{event}"
        return (next(b for b in self.tables["state/posting_batches"] if b["batch_key"] == key),
                next(m for m in self.erp.values() if m["batch_key"] == key))  # fmt: skip

    def manual_move(self, entity: str, day: str, debit: str, credit: str, amount: int, **changes: Any) -> Row:
        """A journal that somebody typed into the ERP."""
        move_id = len(self.erp) + 1
        self.erp[move_id] = {
            "entity_id": entity, "move_id": move_id, "number": f"{entity}{move_id:05d}", "description": "true-up by hand",
            "state": "posted", "move_date": day, "period": month(day), "journal": "MISC", "batch_key": None,
            "document_kind": None, "reference": None,
            "lines": [{"account_code": ACCOUNTS[debit], "debit": amount, "credit": 0},
                      {"account_code": ACCOUNTS[credit], "debit": 0, "credit": amount}],
        } | changes  # fmt: skip
        return self.erp[move_id]

    def read_back(self) -> None:
        """The ERP as the read-back lands it: documents, lines, and the balances that follow from posted ones."""
        balances: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for move in self.erp.values():
            self.add("stg_erp__moves", _source="erp", **{k: v for k, v in move.items() if k != "lines"})
            for number, line in enumerate(move["lines"], 1):
                self.add("stg_erp__move_lines", entity_id=move["entity_id"], move_id=move["move_id"],
                         line_id=move["move_id"] * 1000 + number, account_code=line["account_code"],
                         debit=major(line["debit"]), credit=major(line["credit"]),
                         **{k: line.get(k) for k in ("customer_id", "settles", "is_reconciled")})  # fmt: skip
                if move["state"] == "posted":
                    total = balances[move["entity_id"], move["period"], line["account_code"]]
                    total[0] += line["debit"]
                    total[1] += line["credit"]
        for (entity, period, account), (debit, credit) in balances.items():
            self.add("stg_erp__account_balances", entity_id=entity, period=period, account_code=account,
                     debit=major(debit), credit=major(credit), balance=major(debit - credit))  # fmt: skip

    # ---- files -----------------------------------------------------------------------------------------------------

    def write(self, home: Path) -> None:
        """Writes the warehouse's `fixture` schema and the state and journal files. Unknown columns are refused."""
        self._masters()
        self.tables.update(land_feed(home, self.damage))
        warehouse = home / "warehouse" / "revenue.duckdb"
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute("create schema if not exists fixture")
            for table, (_, ddl) in UPSTREAM.items():
                self._load(connection, f"fixture.{table}", ddl, self.tables[table])
            for name, ddl in FILES.items():
                path = home / f"{name}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                self._load(connection, "fixture._file", ddl, self.tables[name])
                connection.execute(f"copy fixture._file to '{path}' (format parquet)")
            connection.execute("drop table fixture._file")

    @staticmethod
    def _load(connection: duckdb.DuckDBPyConnection, table: str, ddl: str, rows: list[Row]) -> None:
        connection.execute(f"create or replace table {table} ({ddl})")
        names = [column.split()[0] for column in split_ddl(ddl)]
        unknown = {key for row in rows for key in row} - set(names)
        assert not unknown, f"{table} has no column {unknown}"
        if rows:
            marks = ", ".join("?" * len(names))
            connection.executemany(f"insert into {table} values ({marks})", [[r.get(n) for n in names] for r in rows])

    def _masters(self) -> None:
        for name in ("entities", "accounts", "recon_policy", "currencies", "periods"):
            self.tables[f"state/{name}"].clear()
        for entity, currency in ENTITIES.items():
            self.add("state/entities", entity_id=entity, name=f"{entity} company", functional_currency=currency,
                     time_zone="UTC", calendar="month", erp_company=entity)  # fmt: skip
            for role, code in ACCOUNTS.items():
                self.add("state/accounts", entity_id=entity, account_role=role, account_code=code, account_name=role)
            for period in PERIODS:
                self.add("state/periods", entity_id=entity, period=period, start_date=f"{period}-01",
                         end_date_exclusive=later(f"{period}-01"), status="open",
                         **(REOPENED if (entity, period) == self.reopened else {}))  # fmt: skip
        for recon, owner in OWNERS.items():
            if recon in UNCONFIGURED and recon not in self.tolerances:
                continue
            self.add("state/recon_policy", **({
                "recon_id": recon, "name": recon, "area": "area", "owner_team": owner, "tolerance_absolute": 0,
                "tolerance_share": "0", "tolerance_days": 5 if recon == "R8" else 0, "materiality_floor": 0,
                "source_label": "source", "target_label": "target", "gates_close": True,
            } | self.tolerances.get(recon, {})))  # fmt: skip
        for currency in {*ENTITIES.values(), "EUR"}:
            self.add("state/currencies", currency=currency, exponent=2)
        self.add("state/currencies", currency="JPY", exponent=0)


def split_ddl(ddl: str) -> list[str]:
    """Columns of a DDL list; a comma inside decimal(18,6) does not separate."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(ddl):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(ddl[start:position].strip())
            start = position + 1
    return [*parts, ddl[start:].strip()]


def later(day: str) -> str:
    """The same day a month on."""
    year, number = int(day[:4]), int(day[5:7])
    year, number = (year + 1, 1) if number == 12 else (year, number + 1)
    return f"{year}-{number:02d}{day[7:]}"


def month_end(day: str) -> str:
    return f"{month(day)}-{ {'08': 31, '09': 30, '10': 31}[day[5:7]] }"


def major(minor: int) -> str:
    """Minor units of a two-digit currency as the ERP's decimal text."""
    sign, minor = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{minor // 100}.{minor % 100:02d}"
