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

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.documents import RECEIVABLE, reversal_journal
from revenue_assets.posting.erp.netsuite_customers import Customers
from revenue_assets.posting.erp.netsuite_documents import Documents
from revenue_assets.posting.erp.netsuite_failures import reading
from revenue_assets.posting.erp.netsuite_invoices import Invoices
from revenue_assets.posting.erp.netsuite_ledger import Ledger
from revenue_assets.posting.erp.netsuite_masters import Masters, Subsidiary
from revenue_assets.posting.erp.netsuite_settlement import Settlement
from revenue_assets.posting.erp.netsuite_submission import Details, Submission
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

# Our keys have 32 characters; what NetSuite takes at most is not written where we could read it.
KEY_LENGTH_MAX = 64


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
        documents = Documents(self._masters, exponents, self._capabilities, options)
        settlement, self._details = None, None
        if options.details is not None:
            settlement = Settlement(self._client, self._masters, exponents, options, options.details)
            customers = Customers(self._client, self._masters, options.details)
            invoices = Invoices(self._masters, customers, documents, settlement, exponents, options.details)
            self._details = Details(customers, invoices)
        self._ledger = Ledger(self._client, self._masters, exponents, options, settlement)
        self._submission = Submission(
            self._client, self._masters, documents, self._ledger, self._details, is_async=options.mode == "async"
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        with reading():
            self._submission.forget()
            return {key: known for key in wanted if (known := self._lookup(key)) is not None}

    def _lookup(self, key: MasterKey) -> str | None:
        if self._details is not None and key.kind == "customer":
            return self._details.customers.customers([key.code]).get(key.code)
        if self._details is not None and key.kind == "item":
            return self._details.customers.item(key.code)
        return self._masters.lookup(key)

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        if self._details is None:
            words = "This adapter posts journals only: options.details switches NetSuite's customers and items on."
            return {master.key: Failure("unsupported", words) for master in masters}
        with reading():
            self._submission.age()
            failed = self._details.customers.ensure(masters)
            if failed and not self._masters.is_fresh:
                self._submission.forget()
                failed = self._details.customers.ensure([master for master in masters if master.key in failed])
            return failed

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        with reading():
            self._masters.forget()
            self._subsidiary(company)
            return tuple(
                ErpPeriod(company, p.name, p.start_date, p.end_date, "open" if p.is_open else "closed")
                for p in self._masters.periods()
            )

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        return self._submission.refusals(documents)

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """Keys are unique in the whole account, so a document of another company is found as well; its read-back names
        it."""
        return self._submission.find(keys)

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        return self._submission.submit(documents)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        return self._submission.jobs.poll_all(job_ids)

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

    def _subsidiary(self, company: str) -> Subsidiary:
        found = self._masters.subsidiary(company)
        if found is None:
            raise ErpError(Failure("mapping_missing", f"NetSuite has no subsidiary {company!r} that the role may see."))
        return found


def _check_host(base_url: str, options: NetSuiteOptions) -> None:
    """A sandbox's journals in the production account would be real: the address must be that of the account."""
    host = httpx.URL(base_url).host
    if host.endswith(".netsuite.com") and host != options.host:
        raise ErpError(
            Failure("auth", f"The ERP's base_url is {host}, but options.account {options.account} is {options.host}.")
        )
