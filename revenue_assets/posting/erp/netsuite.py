"""NetSuite behind the ERP port, over SuiteTalk REST and SuiteQL.

The key is the record's `externalId`, unique per record type and account: NetSuite itself refuses a second record with
it, at any distance in time. A record is POSTed and never PUT, because an upsert of a posted document would change the
books. Journals are journal entries; invoices, credit notes and payments are NetSuite's own if `options.details` says
so. NetSuite answers a create with no content, and `400 USER_ERROR` for an existing external id, a closed period, a
missing right and an unbalanced journal alike; after a refusal the adapter therefore looks: is the key there, is the
period open, are the masters there. Texts are evidence for people and decide nothing.

A document that awaits approval exists but does not count: it is `created` until the ledger's tables show it as posting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.documents import RECEIVABLE, held_outcome, reversal_journal
from revenue_assets.posting.erp.netsuite_customers import Customers
from revenue_assets.posting.erp.netsuite_documents import DETAIL_TYPES, JOURNAL, PAYMENT, Documents
from revenue_assets.posting.erp.netsuite_failures import failure_of, reading
from revenue_assets.posting.erp.netsuite_invoices import Invoices
from revenue_assets.posting.erp.netsuite_jobs import Jobs
from revenue_assets.posting.erp.netsuite_ledger import Ledger
from revenue_assets.posting.erp.netsuite_masters import Masters, Subsidiary
from revenue_assets.posting.erp.netsuite_settlement import Settlement
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Application,
    Capabilities,
    Customer,
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
)
from revenue_assets.sources.netsuite_auth import Certificate
from revenue_assets.sources.netsuite_client import NetSuiteClient
from revenue_assets.sources.netsuite_faults import NetSuiteFault

# Our keys have 32 characters; what NetSuite takes at most is not written where we could read it.
KEY_LENGTH_MAX = 64
# How long one call waits for its own jobs, before what needs them is put off.
JOB_WAIT_SECONDS = 20.0


class NetSuiteErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits. `transport` and `page_rows` serve tests."""

    def __init__(
        self,
        base_url: str,
        certificate: Certificate,
        options: NetSuiteOptions,
        exponents: Mapping[str, int],
        *,
        page_rows: int = 1000,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        _check_host(base_url, options)
        self._client = NetSuiteClient(
            base_url,
            certificate,
            read_seconds=options.read_seconds,
            write_seconds=options.write_seconds,
            page_rows=page_rows,
            transport=transport,
        )
        self._options = options
        self._capabilities = Capabilities(
            vendor="netsuite",
            mode=options.mode,
            key_length_max=KEY_LENGTH_MAX,
            key_unique=True,
            atomic_unit="document",
            batch_size_max=options.batch_size_max,
            writer_scope="none",
            posts_itself=True,
            settle_seconds=options.settle_seconds,
            kinds=frozenset({"journal"} if options.details is None else ORDER),
            masters=frozenset(() if options.details is None else ("customer", "item")),
        )
        self._masters = Masters(self._client, options.subsidiaries, options.dimensions, options.masters_seconds)
        self._documents = Documents(self._masters, exponents, self._capabilities, options)
        settlement = None
        if options.details is not None:
            settlement = Settlement(self._client, self._masters, exponents, options, options.details)
            self._customers = Customers(self._client, self._masters, options.details)
            self._invoices = Invoices(
                self._masters, self._customers, self._documents, settlement, exponents, options.details
            )
        self._ledger = Ledger(self._client, self._masters, exponents, options, settlement)
        self._jobs = Jobs(self._client, lambda key: self.find("", [key])[key])

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        with reading():
            self._forget()
            return {key: known for key in wanted if (known := self._lookup(key)) is not None}

    def _lookup(self, key: MasterKey) -> str | None:
        if self._options.details is not None and key.kind == "customer":
            return self._customers.customers([key.code]).get(key.code)
        if self._options.details is not None and key.kind == "item":
            return self._customers.item(key.code)
        return self._masters.lookup(key)

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        if self._options.details is None:
            words = "This adapter posts journals only: options.details switches NetSuite's customers and items on."
            return {master.key: Failure("unsupported", words) for master in masters}
        with reading():
            self._forget()
            return self._customers.ensure(masters)

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        with reading():
            self._masters.forget()
            self._subsidiary(company)
            return tuple(
                ErpPeriod(company, p.name, p.start_date, p.end_date, "open" if p.is_open else "closed")
                for p in self._masters.periods()
            )

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        with reading():
            if self._options.mode == "async":
                self._forget()  # a job's refusal comes when nobody is there to look again
            else:
                self._masters.age()
            refused = self._refused(documents)
            if refused and not self._masters.is_fresh:
                self._forget()
                refused = self._refused(documents)
            return refused

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """By the ledger's tables; a key they do not show (yet) is asked for as a record, which has no index to lag.

        Keys are unique in the whole account, so a journal in another company is found as well; its read-back names it.
        """
        with reading():
            shown = self._ledger.by_key(keys)
            return {key: shown.get(key) or self._as_record(key) for key in keys}

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        outcomes: dict[str, Outcome] = {}
        silent: Failure | None = None
        for kind in ORDER:
            mine = [document for document in documents if document.kind == kind]
            if any(document.applies_to for document in mine):
                self._await_jobs(outcomes)
            if silent is not None:
                outcomes |= {document.key: _unsent(document, silent) for document in mine}
            elif mine:
                made, silent = self._submit_kind(mine)
                outcomes |= made
        return tuple(outcomes[key] for key in keys)

    def _await_jobs(self, outcomes: dict[str, Outcome]) -> None:
        """What settles names the invoice's internal id, so jobs of the same call that make invoices come first. What
        takes longer than this is settled at a later send."""
        give_up = time.monotonic() + JOB_WAIT_SECONDS
        while queued := {key: o.job_id for key, o in outcomes.items() if o.state == "accepted" and o.job_id}:
            outcomes |= {o.key: o for o in self._jobs.poll_all(queued)}
            if time.monotonic() > give_up or any(outcomes[key].failure for key in queued):
                return
            time.sleep(0.2)

    def _submit_kind(self, documents: Sequence[Journal]) -> tuple[dict[str, Outcome], Failure | None]:
        """Looks, creates what is missing, looks how far it got. The failure is that of a request which NetSuite did not
        take: who did not take one will not take the next, so the rest goes back to be sent later."""
        try:
            refused = self.preflight(documents)
            outcomes = {key: Outcome(key, failure=failure) for key, failure in refused.items()}
            outcomes |= self._already_there(documents)
        except ErpError as error:
            return {d.key: Outcome(d.key, failure=error.failure) for d in documents}, error.failure
        silent: Failure | None = None
        for document in documents:
            if document.key not in outcomes:
                outcomes[document.key] = made = _unsent(document, silent) if silent else self._create(document)
                silent = silent or (made.failure if made.failure and made.failure.retry else None)
        return {outcome.key: outcome for outcome in self._as_shown(list(outcomes.values()))}, silent

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        return self._jobs.poll_all(job_ids)

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        with reading():
            return self._ledger.documents(document_ids)

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        with reading():
            subsidiary = self._subsidiary(company)
            found = next((p for p in self._masters.periods() if p.name == period), None)
            if found is None:
                raise ErpError(Failure("mapping_missing", f"NetSuite has no posting period {period}."))
            try:
                return self._ledger.balances(company, subsidiary.id, found, subsidiary.currency)
            except MoneyError as error:
                words = f"A balance of {company} {period} is no money: {error}"
                raise ErpError(Failure("readback_mismatch", words)) from error

    def reverse(self, request: Reversal) -> Outcome:
        """A journal of its own with its own key; of an invoice a credit note that settles it whole. NetSuite's reversal
        date is not used: it would change the original, and the journal it makes carries no key."""
        try:
            original = self.lines(request.company, [request.document_id]).get(request.document_id)
        except ErpError as error:
            return Outcome(request.key, failure=error.failure)
        document = reversal_journal(original, request)
        if isinstance(document, Failure):
            return Outcome(request.key, failure=document)
        if original is not None and original.kind in ("credit_note", "cash_application"):
            words = f"Document {original.number} settles invoices: take it off them in NetSuite first."
            return Outcome(request.key, failure=Failure("unsupported", words))
        if original is not None and original.kind == "invoice":
            return self.submit([self._credit_of(original, document)])[0]
        number = original.number if original else None
        words = f"Reversal of journal {number or request.document_id}: {document.text}".rstrip(": ")
        return self.submit([replace(document, text=words)])[0]

    def _credit_of(self, original: PostedDocument, reversal: Journal) -> Journal:
        """The credit note that takes an invoice back whole, over the same items, and settles it."""
        with reading():
            lines = tuple(
                replace(line, role=RECEIVABLE)
                if self._masters.is_receivable(line.account_code)
                else replace(line, item=sold.item)
                for line, sold in zip(reversal.lines, original.lines, strict=True)
            )
        opened = -sum(line.amount_tc for line in lines if line.role == RECEIVABLE)
        customer, number = original.customer_id or "", original.reference or ""
        return replace(
            reversal, kind="credit_note", lines=lines, customer=Customer(customer, customer), reference=number,
            reverses=None, applies_to=(Application(number, opened, original.functional_currency),),
        )  # fmt: skip

    # -- one document ------------------------------------------------------------------------------------------

    def _create(self, document: Journal) -> Outcome:
        """Sends it once. A refusal is explained by looking; while nobody can look, the outcome is unknown."""
        try:
            with reading():
                prepared = self._record_of(document)
        except ErpError as error:
            return Outcome(document.key, failure=error.failure)
        if isinstance(prepared, Failure):
            return Outcome(document.key, failure=prepared)
        record_type, values = prepared
        try:
            if self._options.mode == "async":
                return self._jobs.submit(record_type, document.key, values)
            created = self._client.create(record_type, values)
        except NetSuiteFault as fault:
            if fault.kind != "refused":
                return Outcome(document.key, failure=failure_of(fault))
            return self._explained(fault, document)
        return Outcome(document.key, "created", created.record_id)

    def _record_of(self, document: Journal) -> tuple[str, dict[str, Any]] | Failure:
        """Record type and body, once the items of its lines are there."""
        if document.kind == "journal":
            return JOURNAL, self._documents.values(document)
        record_type = self._invoices.record_type(document)
        if record_type != PAYMENT and (failure := self._customers.ensure_items(document)) is not None:
            return failure
        return record_type, self._invoices.values(document)

    def _explained(self, fault: NetSuiteFault, document: Journal) -> Outcome:
        try:
            there = self._already_there([document], ask_record=True).get(document.key)
            if there is not None:
                return there
            self._forget()
            known = self.preflight([document]).get(document.key)
        except ErpError as error:
            words = f"NetSuite refused the document, and why could not be looked up: {error.failure.message}"
            return Outcome(document.key, failure=Failure("uncertain", words, fault.evidence))
        if known is None:
            return Outcome(document.key, failure=failure_of(fault))
        return Outcome(document.key, failure=Failure(known.failure_class, known.message, fault.evidence))

    def _already_there(self, documents: Sequence[Journal], *, ask_record: bool = False) -> dict[str, Outcome]:
        """Outcomes of the keys that NetSuite holds: as it holds them if the content is ours, else a conflict.

        Before a create the ledger's tables are enough: what they do not show yet, NetSuite refuses to make twice.
        """
        keys = [document.key for document in documents]
        with reading():
            shown = self.find("", keys) if ask_record else self._ledger.by_key(keys)
        found = {key: hits for key, hits in shown.items() if hits}
        held = self.lines("", [hits[0].document_id for hits in found.values() if len(hits) == 1]) if found else {}
        return {d.key: held_outcome(d, found[d.key], held) for d in documents if d.key in found}

    def _as_shown(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Created documents that the ledger already shows are posted; a look that fails leaves them created."""
        fresh = [o.key for o in outcomes if o.state == "created" and o.failure is None]
        if not fresh:
            return list(outcomes)
        try:
            shown = self._ledger.by_key(fresh)
        except NetSuiteFault:
            return list(outcomes)
        return [
            replace(o, state=hits[0].state, number=hits[0].number)
            if o.key in fresh and len(hits := shown.get(o.key, ())) == 1 and hits[0].document_id == o.document_id
            else o
            for o in outcomes
        ]

    def _as_record(self, key: str) -> tuple[Found, ...]:
        """An external id is unique within a record type, so each of ours is asked."""
        types = (JOURNAL,) if self._options.details is None else (JOURNAL, *DETAIL_TYPES)
        records = [record for kind in types if (record := self._client.record(kind, key)) is not None]
        return tuple(Found(key, str(record["id"]), record.get("tranId"), "created") for record in records)

    def _refused(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        refused = {d.key: failure for d in documents if (failure := self._documents.refusal(d)) is not None}
        details = [d for d in documents if d.kind != "journal" and d.key not in refused]
        return refused | self._invoices.refusals(details) if details else refused

    def _forget(self) -> None:
        self._masters.forget()
        if self._options.details is not None:
            self._customers.forget()

    def _subsidiary(self, company: str) -> Subsidiary:
        found = self._masters.subsidiary(company)
        if found is None:
            raise ErpError(Failure("mapping_missing", f"NetSuite has no subsidiary {company!r} that the role may see."))
        return found


def _unsent(document: Journal, cause: Failure) -> Outcome:
    """Nothing of it can be in NetSuite, so that it needs no look-up: `throttled`, unless the login is the matter."""
    kind = "auth" if cause.failure_class == "auth" else "throttled"
    words = f"Not sent: the document before it met this: {cause.message}"
    return Outcome(document.key, failure=Failure(kind, words, retry_after=cause.retry_after))


def _check_host(base_url: str, options: NetSuiteOptions) -> None:
    """A sandbox's journals in the production account would be real: the address must be that of the account."""
    host = httpx.URL(base_url).host
    if host.endswith(".netsuite.com") and host != options.host:
        raise ErpError(
            Failure("auth", f"The ERP's base_url is {host}, but options.account {options.account} is {options.host}.")
        )
