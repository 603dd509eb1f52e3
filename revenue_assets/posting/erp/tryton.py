"""Tryton 8 behind the ERP port, over its JSON-RPC.

Journals and payments are moves, invoices and credit notes are Tryton's own. The key is the `description` of the move or
invoice, alone and exact; Tryton does not make it unique, so the port's capabilities ask for one writer per company and
for a settle time of the longest request. How documents get there is in `tryton_submission`, how they are read back in
`tryton_ledger`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from revenue_assets.posting.erp.documents import RECEIVABLE, reversal_journal, reversed_lines
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Application,
    Capabilities,
    Customer,
    DocumentKind,
    ErpError,
    ErpPeriod,
    Failure,
    Found,
    Journal,
    Master,
    MasterKey,
    Outcome,
    PostedDocument,
    Reversal,
)  # fmt: skip
from revenue_assets.posting.erp.tryton_customers import Customers
from revenue_assets.posting.erp.tryton_documents import Documents
from revenue_assets.posting.erp.tryton_faults import reading
from revenue_assets.posting.erp.tryton_invoices import PREFIX, Invoices
from revenue_assets.posting.erp.tryton_ledger import Ledger
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.posting.erp.tryton_settlement import Settlement
from revenue_assets.posting.erp.tryton_submission import Submission
from revenue_assets.sources.tryton_rpc import TrytonRpc

# Longest key that was tried; the column itself has no limit.
KEY_LENGTH_MAX = 128
# Server CPU per move: 0.21 s one by one, 0.024 s in calls of 50, 0.033 s in calls of 100.
BATCH_SIZE_MAX = 50
# Tryton sets no limit to a write, so this is 25 times the longest that was seen, not a certainty. To make it one, give
# the ERP's database a `transaction_timeout` below it (PostgreSQL 17) and Tryton `[database] retry = 0`.
SETTLE_SECONDS = 75.0
# What a drain asks for anew again and again otherwise: four reads a call, as much as a journal costs.
MASTERS_SECONDS = 60.0
JOURNAL_CODE, INVOICE_JOURNAL_CODE, CASH_JOURNAL_CODE = "REV", "REVI", "REVC"
ITEM_CATEGORY = "Subscriptions"


class TrytonErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits.

    `journal`, `invoice_journal`, `cash_journal`: codes of the journals that journals, invoices with credit notes, and
    payments go into. `sundry_customer`: our code of the customer for summarised lines on an account where every line
    names one. `item_category`: product category of new items.

    `masters_seconds`: how long accounts, periods, customers and items are kept; a refusal is never built on kept ones.
    `settle_seconds` may be lowered where the server is known to be gone with its requests (a local demo).
    `transport` replaces the network in tests.
    """

    def __init__(
        self,
        base_url: str,
        database: str,
        user: str,
        password: str,
        exponents: Mapping[str, int],
        *,
        journal: str = JOURNAL_CODE,
        invoice_journal: str = INVOICE_JOURNAL_CODE,
        cash_journal: str = CASH_JOURNAL_CODE,
        sundry_customer: str | None = None,
        item_category: str = ITEM_CATEGORY,
        batch_size_max: int = BATCH_SIZE_MAX,
        settle_seconds: float = SETTLE_SECONDS,
        masters_seconds: float = MASTERS_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._rpc = TrytonRpc(base_url, database, user, password, transport=transport)
        codes: dict[DocumentKind, str] = {
            "journal": journal, "invoice": invoice_journal, "credit_note": invoice_journal,
            "cash_application": cash_journal,
        }  # fmt: skip
        self._masters = Masters(self._rpc, codes, masters_seconds)
        self._customers = Customers(self._rpc, self._masters, item_category)
        self._capabilities = Capabilities(
            vendor="tryton",
            mode="sync",
            key_length_max=KEY_LENGTH_MAX,
            key_unique=False,
            atomic_unit="call",
            batch_size_max=batch_size_max,
            writer_scope="company",
            posts_itself=False,
            settle_seconds=settle_seconds,
            kinds=frozenset(ORDER),
            masters=frozenset({"customer", "item"}),
        )
        documents = Documents(self._masters, self._customers, exponents, self._capabilities, sundry_customer)
        settlement = Settlement(self._rpc, self._masters)
        self._invoices = Invoices(self._rpc, self._masters, self._customers, documents, settlement)
        self._ledger = Ledger(self._rpc, self._masters, self._customers, documents, self._invoices)
        self._submission = Submission(
            self._rpc, self._masters, self._customers, documents, self._invoices, settlement, self._ledger,
            batch_size_max,
        )  # fmt: skip

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._rpc.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        with reading():
            self._submission.forget()
            found: dict[MasterKey, str] = {}
            for key in wanted:
                if key.kind == "customer":
                    known = self._customers.party(key.code)
                elif key.kind == "item":
                    item = self._customers.items([key.code]).get(key.code)
                    known = item.id if item else None
                else:
                    known = self._masters.lookup(key)
                if known is not None:
                    found[key] = str(known)
            return found

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        return self._submission.ensure(masters)

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        with reading():
            self._masters.forget()
            return tuple(period.as_port(company) for period in self._masters.periods(company))

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        return self._submission.preflight(documents)

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        with reading():
            return self._ledger.find(company, keys)

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        outcomes = self._submission.submit(documents)
        return tuple(outcomes[key] for key in keys)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        """Tryton has no jobs: whoever asks is told so."""
        return tuple(
            Outcome(key, job_id=job, failure=Failure("unsupported", f"Tryton knows no job {job}."))
            for key, job in job_ids.items()
        )

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        with reading():
            return self._ledger.lines(company, document_ids)

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        with reading():
            return self._ledger.balances(company, period)

    def reverse(self, request: Reversal) -> Outcome:
        try:
            original = self.lines(request.company, [request.document_id]).get(request.document_id)
        except ErpError as error:
            return Outcome(request.key, failure=error.failure)
        document = reversal_journal(original, request)
        if isinstance(document, Failure):
            return Outcome(request.key, failure=document)
        if original is not None and original.kind in ("credit_note", "cash_application"):
            words = f"Document {original.number} settles invoices: take it off them in the ERP first."
            return Outcome(request.key, failure=Failure("unsupported", words))
        if original is not None and original.kind == "invoice":
            document = self._credit_of(original, request)
        return self.submit([document])[0]

    def _credit_of(self, original: PostedDocument, request: Reversal) -> Journal:
        """The credit note that takes an invoice back whole, and settles it."""
        with reading():
            items = self._invoices.items_of(request.company, int(original.document_id.removeprefix(PREFIX)))
            lines = tuple(
                replace(line, role=RECEIVABLE)
                if self._masters.account(request.company, line.account_code).is_receivable
                else replace(line, item=items.get(line.account_code))
                for line in reversed_lines(original.lines)
            )
        opened = -sum(line.amount_tc for line in lines if line.role == RECEIVABLE)
        customer = original.customer_id or ""
        return Journal(
            request.key, request.company, request.accounting_date, request.period, original.functional_currency, lines,
            request.text, kind="credit_note", customer=Customer(customer, customer), reference=original.reference,
            applies_to=(Application(original.reference or "", opened, original.functional_currency),),
        )  # fmt: skip
