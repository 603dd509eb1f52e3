"""Tryton 8 behind the ERP port, over its JSON-RPC.

Journals and payments are moves, invoices and credit notes are Tryton's own. The key is the `description` of the move or
invoice, alone and exact; Tryton does not make it unique, so the port's capabilities ask for one writer per company and
for a settle time of the longest request. A batch is created in one call and posted in one call, each call one
transaction: a kill between the two leaves drafts, which the next submit finds and posts.

Error texts are translated and change between versions: a refused call is classified by checking the document again
(period, accounts, balance), never by its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.documents import RECEIVABLE, held_outcome, reversal_journal, reversed_lines
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
from revenue_assets.posting.erp.tryton_documents import STATES, Documents, applied
from revenue_assets.posting.erp.tryton_faults import failure_of, reading
from revenue_assets.posting.erp.tryton_invoices import PREFIX, Invoices
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.posting.erp.tryton_settlement import Settlement
from revenue_assets.sources.tryton_rpc import RpcFault, TrytonRpc

# Longest key that was tried; the column itself has no limit.
KEY_LENGTH_MAX = 128
# Server CPU per move: 0.21 s one by one, 0.024 s in calls of 50, 0.033 s in calls of 100.
BATCH_SIZE_MAX = 50
# Bounds the length of one call: 50 journals of 11 lines took 0.5 s on an idle machine, up to 3.1 s on a busy one.
BATCH_LINES_MAX = 2_000
# Tryton sets no limit to a write, so this is 25 times the longest that was seen, not a certainty. To make it one, give
# the ERP's database a `transaction_timeout` below it (PostgreSQL 17) and Tryton `[database] retry = 0`.
SETTLE_SECONDS = 75.0
JOURNAL_CODE, INVOICE_JOURNAL_CODE, CASH_JOURNAL_CODE = "REV", "REVI", "REVC"
ITEM_CATEGORY = "Subscriptions"
# What settles comes after what is settled.
ORDER: tuple[DocumentKind, ...] = ("journal", "invoice", "credit_note", "cash_application")


class TrytonErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits.

    `journal`, `invoice_journal`, `cash_journal`: codes of the journals that journals, invoices with credit notes, and
    payments go into. `sundry_customer`: our code of the customer for summarised lines on an account where every line
    names one. `item_category`: product category of new items.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._rpc = TrytonRpc(base_url, database, user, password, transport=transport)
        codes: dict[DocumentKind, str] = {
            "journal": journal, "invoice": invoice_journal, "credit_note": invoice_journal,
            "cash_application": cash_journal,
        }  # fmt: skip
        self._masters = Masters(self._rpc, codes)
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
        self._documents = Documents(self._masters, self._customers, exponents, self._capabilities, sundry_customer)
        self._settlement = Settlement(self._rpc, self._masters)
        self._invoices = Invoices(self._rpc, self._masters, self._customers, self._documents, self._settlement)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._rpc.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        with reading():
            self._forget()
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
        with reading():
            self._forget()
            return self._customers.ensure(masters)

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        with reading():
            return tuple(period.as_port(company) for period in self._masters.periods(company))

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        """A document that settles one which is not posted yet is refused: it comes after it."""
        with reading():
            self._forget()
            refused = {d.key: failure for d in documents if (failure := self._refusal(d)) is not None}
            for company in dict.fromkeys(document.company for document in documents):
                settling = [d for d in documents if d.company == company and d.applies_to and d.key not in refused]
                refused |= self._settlement.refusals(company, settling, self._documents.minor)
            return refused

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        found: dict[str, tuple[Found, ...]] = {key: () for key in keys}
        with reading():
            rows = self._rpc.search_read(
                "account.move",
                [["company", "=", self._masters.company(company)], ["description", "in", list(found)]],
                ["description", "number", "state"],
                self._masters.context(company),
                order=[["id", "ASC"]],
            )
            hits = [Found(row["description"], str(row["id"]), row["number"], STATES[row["state"]]) for row in rows]
            for hit in (*hits, *self._invoices.find(company, found)):
                found[hit.key] = (*found[hit.key], hit)
        return found

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        outcomes: dict[str, Outcome] = {}
        for company in dict.fromkeys(document.company for document in documents):
            for kind in ORDER:
                mine = [document for document in documents if (document.company, document.kind) == (company, kind)]
                for chunk in self._chunks(mine):
                    outcomes |= self._submit_chunk(company, chunk)
        return tuple(outcomes[key] for key in keys)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        """Tryton has no jobs: whoever asks is told so."""
        return tuple(
            Outcome(key, job_id=job, failure=Failure("unsupported", f"Tryton knows no job {job}."))
            for key, job in job_ids.items()
        )

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        if not document_ids:
            return {}
        with reading():
            context = self._masters.context(company)
            invoices = self._invoices.read(
                company, [int(i.removeprefix(PREFIX)) for i in document_ids if i.startswith(PREFIX)]
            )
            of_invoice = {row["move"]: row for row in invoices.values() if row["move"]}
            ids = [int(i) for i in document_ids if not i.startswith(PREFIX)] + list(of_invoice)
            moves = self._rpc.search_read("account.move", [["id", "in", ids]], _MOVE_FIELDS, context)
            rows = self._rpc.search_read(
                "account.move.line", [["move", "in", ids]], _LINE_FIELDS, context, order=[["id", "ASC"]]
            )
            periods = {period.id: period for period in self._masters.periods(company)}
            customers = self._customers.codes(
                [row["party"] for row in (*rows, *invoices.values()) if row["party"] is not None]
            )
            by_move: dict[int, list[dict[str, Any]]] = {}
            for row in rows:
                by_move.setdefault(row["move"], []).append(row)
            held: list[PostedDocument] = []
            for move in moves:
                mine = by_move.get(move["id"], [])
                document = self._documents.read(move, mine, periods)
                if len(document.lines) == len(mine):
                    document = replace(document, applies_to=applied(mine, document.lines))
                if move["id"] in of_invoice:
                    row = of_invoice[move["id"]]
                    document = self._invoices.described(document, row, customers.get(row["party"]))
                elif self._masters.kind_of_move(move["journal."]["code"]) == "cash_application":
                    parties = {row["party"] for row in mine if row["party"] is not None}
                    customer = customers.get(next(iter(parties))) if len(parties) == 1 else None
                    document = replace(document, kind="cash_application", customer_id=customer)
                held.append(document)
            for row in invoices.values():
                if not row["move"]:
                    draft = self._invoices.draft(company, row)
                    held.append(self._invoices.described(draft, row, customers.get(row["party"])))
        return {document.document_id: document for document in held}

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        with reading():
            found = next((p for p in self._masters.periods(company) if p.name == period), None)
            if found is None:
                raise ErpError(Failure("mapping_missing", f"{company} has no period {period} in the ERP."))
            currency = self._masters.functional_currency(company)
            rows = self._rpc.search_read(
                "account.account",
                [["company", "=", self._masters.company(company)], ["type", "!=", None]],
                ["code", "debit", "credit"],
                self._masters.context(company) | {"periods": [found.id], "posted": True},
                order=[["code", "ASC"]],
            )
        try:
            minor = self._documents.minor
            return tuple(
                AccountBalance(
                    company,
                    period,
                    row["code"],
                    currency,
                    minor(row["debit"], currency),
                    minor(row["credit"], currency),
                )
                for row in rows
                if row["debit"] or row["credit"]
            )
        except MoneyError as error:
            raise ErpError(
                Failure("readback_mismatch", f"A balance of {company} {period} is no money: {error}")
            ) from error

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

    def _forget(self) -> None:
        self._masters.forget()
        self._customers.forget()

    def _refusal(self, document: Journal) -> Failure | None:
        failure = self._documents.refusal(document)
        if failure is None and document.kind in ("invoice", "credit_note"):
            failure = self._invoices.refusal(document)
        if failure is None and document.kind == "cash_application":
            failure = self._documents.unsettleable(document)
        return failure

    # -- one chunk of one company ------------------------------------------------------------------------------

    def _submit_chunk(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Looks, creates what is missing, posts what is not posted. Never raises for what the ERP does."""
        try:
            refused = self.preflight(documents)
            sound = [document for document in documents if document.key not in refused]
            outcomes = {key: Outcome(key, failure=failure) for key, failure in refused.items()}
            outcomes |= self._already_there(company, documents)
        except ErpError as error:
            return {document.key: Outcome(document.key, failure=error.failure) for document in documents}
        fresh = [d for d in sound if d.key not in outcomes]
        outcomes |= self._create(company, fresh)
        drafts = [o for o in outcomes.values() if o.state == "created" and o.failure is None]
        outcomes |= self._post(company, drafts, {d.key: d for d in documents})
        return outcomes

    def _chunks(self, documents: Sequence[Journal]) -> Iterator[list[Journal]]:
        """One call's worth each: bounded in documents and in lines; a longer document goes alone."""
        chunk: list[Journal] = []
        lines = 0
        for document in documents:
            full = len(chunk) == self._capabilities.batch_size_max or lines + len(document.lines) > BATCH_LINES_MAX
            if chunk and full:
                yield chunk
                chunk, lines = [], 0
            chunk.append(document)
            lines += len(document.lines)
        if chunk:
            yield chunk

    def _already_there(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Outcomes of the keys that the ERP holds: as it holds them if the content is ours, else a conflict."""
        found = {key: hits for key, hits in self.find(company, [d.key for d in documents]).items() if hits}
        held = self.lines(company, [hits[0].document_id for hits in found.values() if len(hits) == 1])
        for document in documents:
            for hit in found.get(document.key, ()):
                # A credit note that is not finished settles nothing yet.
                if document.kind == "credit_note" and hit.state == "created" and hit.document_id in held:
                    held[hit.document_id] = replace(held[hit.document_id], applies_to=document.applies_to)
        return {d.key: held_outcome(d, found[d.key], held) for d in documents if d.key in found}

    def _create(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Drafts in one transaction. A refusal is hunted down by halves, so that one bad document harms only itself."""
        if not documents:
            return {}
        is_invoice = documents[0].kind in ("invoice", "credit_note")
        model = "account.invoice" if is_invoice else "account.move"
        try:
            values = self._invoices.values(company, documents) if is_invoice else self._move_values(company, documents)
            ids = self._rpc.call(f"model.{model}.create", values, self._masters.context(company))
        except RpcFault as fault:
            if fault.kind == "refused" and len(documents) > 1:
                half = len(documents) // 2
                return self._create(company, documents[:half]) | self._create(company, documents[half:])
            return {d.key: Outcome(d.key, failure=self._explained(fault, d)) for d in documents}
        if len(ids) != len(documents):
            failure = Failure("uncertain", f"{len(documents)} documents were sent, the ERP answered {len(ids)} ids.")
            return {d.key: Outcome(d.key, failure=failure) for d in documents}
        prefix = PREFIX if is_invoice else ""
        return {d.key: Outcome(d.key, "created", f"{prefix}{i}") for d, i in zip(documents, ids, strict=True)}

    def _move_values(self, company: str, documents: Sequence[Journal]) -> list[dict[str, Any]]:
        targets = self._settled_by(company, documents)
        return [self._documents.values(document, targets) for document in documents]

    def _settled_by(self, company: str, documents: Sequence[Journal]) -> dict[str, int]:
        """Number of each invoice that the documents settle -> Tryton's id."""
        numbers = [part.reference for document in documents for part in document.applies_to]
        return {number: hits[0].id for number, hits in self._settlement.targets(company, numbers).items()}

    def _post(self, company: str, drafts: Sequence[Outcome], documents: Mapping[str, Journal]) -> dict[str, Outcome]:
        """Posts drafts in one transaction and reads the numbers that posting gave them."""
        if not drafts:
            return {}
        sent = {int((draft.document_id or "0").removeprefix(PREFIX)): documents[draft.key] for draft in drafts}
        kind = documents[drafts[0].key].kind
        try:
            if kind in ("invoice", "credit_note"):
                self._invoices.post(company, sent)
            else:
                # A draft that settles an invoice does so before it is posted: after that, nobody would come back.
                self._settlement.close(company, self._settled_by(company, list(sent.values())).values())
                self._rpc.call("model.account.move.post", list(sent), self._masters.context(company))
        except RpcFault as fault:
            if fault.kind == "refused" and len(drafts) > 1:
                half = len(drafts) // 2
                return self._post(company, drafts[:half], documents) | self._post(company, drafts[half:], documents)
            return {d.key: _with(d, failure=self._explained(fault, documents[d.key])) for d in drafts}
        try:
            found = self.find(company, [draft.key for draft in drafts])
        except ErpError as error:
            # Posted for sure; only the number is unknown. A look-up brings it.
            failure = Failure("uncertain", f"Posted, but the number could not be read: {error.failure.message}")
            return {d.key: _with(d, failure=failure) for d in drafts}
        numbers = {hit.document_id: hit for hits in found.values() for hit in hits}
        return {d.key: _posted(d, numbers.get(d.document_id or "")) for d in drafts}

    def _explained(self, fault: RpcFault, document: Journal) -> Failure:
        """A refusal is explained by looking at the document again: a period may have closed a moment ago."""
        if fault.kind == "refused":
            try:
                known = self.preflight([document]).get(document.key)
            except ErpError:
                known = None
            if known is not None:
                return Failure(known.failure_class, known.message, evidence=str(fault))
        return failure_of(fault)


def _with(draft: Outcome, failure: Failure) -> Outcome:
    return Outcome(
        draft.key, draft.state, draft.document_id, draft.number, already_there=draft.already_there, failure=failure
    )


def _posted(draft: Outcome, hit: Found | None) -> Outcome:
    if hit is None or hit.state != "posted":
        failure = Failure("uncertain", f"Move {draft.document_id} was posted, but the ERP does not show it as posted.")
        return _with(draft, failure)
    return Outcome(draft.key, "posted", draft.document_id, hit.number, already_there=draft.already_there)


_MOVE_FIELDS = [
    "description", "number", "state", "date", "period", "company.party.name", "company.currency.code", "journal.code",
]  # fmt: skip
_LINE_FIELDS = [
    "move", "account.code", "debit", "credit", "amount_second_currency", "second_currency.code", "description", "party",
    "invoice_payment.reference",
]  # fmt: skip
