"""A ledger that speaks the generic REST contract (docs/erp-generic.md) behind the ERP port.

The external id is the key; it is sent as the idempotency key as well, for ledgers that remember those. A ledger need
not keep external ids unique: the look-up before each create, the worker's settle time and the one writer per company
hold without it. A ledger may answer a create with a job (202): then the journal is `accepted` until the job is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import httpx

from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.documents import held_outcome, masters_of
from revenue_assets.posting.erp.generic_client import AlreadyThere, GenericClient, chunks
from revenue_assets.posting.erp.generic_documents import (
    UNKNOWN_INVOICE,
    CompanyMasters,
    GenericDocuments,
    refused,
    resolved,
    reversal,
)
from revenue_assets.posting.erp.generic_records import periods_of
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Capabilities,
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
)

# Keys, ids or codes of one look-up; a URL of a hundred 64-character keys stays below 8 KB.
KEYS_PER_REQUEST = 100
# What settles comes after what is settled.
ORDER: tuple[DocumentKind, ...] = ("journal", "invoice", "credit_note", "cash_application")
# The contract's lists of masters that documents bring along.
LISTS: Mapping[str, str] = {"customer": "customers", "item": "items"}


class GenericRestErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits. `credentials`: `token`, or `user` and `password`."""

    def __init__(
        self,
        base_url: str,
        credentials: Mapping[str, str],
        options: GenericOptions,
        exponents: Mapping[str, int],
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = GenericClient(
            base_url,
            token=credentials.get("token"),
            user=credentials.get("user", ""),
            password=credentials.get("password", ""),
            key_header=options.key_header,
            timeout_seconds=options.timeout_seconds,
            transport=transport,
        )
        self._capabilities = Capabilities(
            vendor="generic_rest",
            mode=options.mode,
            key_length_max=options.key_length_max,
            key_unique=options.key_unique,
            atomic_unit="document",
            batch_size_max=options.batch_size_max,
            writer_scope="company",
            posts_itself=True,
            settle_seconds=options.settle_seconds,
            kinds=frozenset(options.kinds),
            masters=frozenset(options.masters),
        )
        self._currencies = dict(exponents)
        # Customers and items that were seen or made: not asked for again with every document of theirs.
        self._made: set[MasterKey] = set()
        self._documents = GenericDocuments(exponents, self._capabilities)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        names = {key.code if key.kind == "company" else key.company for key in wanted}
        return resolved(wanted, self._masters(names, wanted), self._currencies)

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        if not self._has_details:
            words = "The ledger takes journals only (options.kinds): it makes no customers and no items."
            return {master.key: Failure("unsupported", words) for master in masters}
        unknown = [master.key for master in masters if master.key not in self._made]
        for company in {key.company for key in unknown}:
            for kind in LISTS:
                mine = [key for key in unknown if (key.company, key.kind) == (company, kind)]
                self._made |= {key for key in mine if key.code in self._there(company, kind, mine)}
        failed: dict[MasterKey, Failure] = {}
        for master in masters:
            if master.key in self._made:
                continue
            if master.kind not in self._capabilities.masters:
                words = (
                    f"The ledger of {master.company} has no {master.kind} {master.code}, and we may make none there."
                )
                failed[master.key] = Failure("mapping_missing", words)
                continue
            record = {"code": master.code, "name": master.name, "account": master.account_code}
            try:
                self._client.add(master.company, LISTS[master.kind], record)
            except AlreadyThere:
                pass
            except ErpError as error:
                if error.failure.retry:
                    raise
                failed[master.key] = Failure("mapping_missing", error.failure.message, error.failure.evidence)
                continue
            self._made.add(master.key)
        return failed

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        return periods_of(company, self._client.rows(company, "periods"))

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        named = [master.key for document in documents for master in masters_of(document)]
        masters = self._masters({document.company for document in documents}, named)
        found = {d.key: self._documents.refusal(d, masters[d.company]) for d in documents}
        return {key: failure for key, failure in found.items() if failure is not None}

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        found: dict[str, tuple[Found, ...]] = {key: () for key in keys}
        for chunk in chunks(keys, KEYS_PER_REQUEST):
            for row in self._client.rows(company, "journals", external_id=chunk):
                hit = self._documents.found(row)
                if hit.key in found:
                    found[hit.key] = (*found[hit.key], hit)
        return found

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        outcomes: dict[str, Outcome] = {}
        for document in documents:
            failure = self._documents.unfit(document)
            if failure is not None:
                outcomes[document.key] = Outcome(document.key, failure=failure)
        sound = sorted((d for d in documents if d.key not in outcomes), key=lambda d: ORDER.index(d.kind))
        for company in dict.fromkeys(document.company for document in sound):
            outcomes |= self._submit_company(company, [d for d in sound if d.company == company])
        return tuple(outcomes[key] for key in keys)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        return tuple(self._polled(company, key, job) for key, job in job_ids.items())

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        read: dict[str, PostedDocument] = {}
        for chunk in chunks(document_ids, KEYS_PER_REQUEST):
            for row in self._client.rows(company, "journals", id=chunk):
                document = self._documents.read(company, row)
                read[document.document_id] = document
        return read

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        rows = self._client.rows(company, "balances", period=period)
        made = [self._documents.balance(company, period, row) for row in rows]
        return tuple(sorted(made, key=lambda balance: balance.account_code))

    def reverse(self, request: Reversal) -> Outcome:
        try:
            original = self.lines(request.company, [request.document_id]).get(request.document_id)
        except ErpError as error:
            return Outcome(request.key, failure=error.failure)
        document = reversal(original, request)
        if isinstance(document, Failure):
            return Outcome(request.key, failure=document)
        return self.submit([document])[0]

    # -- one company -------------------------------------------------------------------------------------------

    def _submit_company(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        try:
            outcomes = self._already_there(company, documents)
        except ErpError as error:
            return {document.key: Outcome(document.key, failure=error.failure) for document in documents}
        held_up: Failure | None = None
        for document in documents:
            if document.key in outcomes:
                continue
            if held_up is not None:
                outcomes[document.key] = Outcome(document.key, failure=held_up)
                continue
            made = outcomes[document.key] = self._create(document)
            # A missing invoice holds up nothing but what settles it.
            if made.failure is not None and made.failure.retry and made.failure.evidence != UNKNOWN_INVOICE:
                # The next ones would be told the same, or time out as well: the call would outlast its lease.
                words = f"Not sent, because of the journal before it: {made.failure.message}"
                kind = made.failure.failure_class
                held_up = Failure("unavailable" if kind == "uncertain" else kind, words, "", made.failure.retry_after)
        return outcomes

    def _already_there(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        found = {key: hits for key, hits in self.find(company, [d.key for d in documents]).items() if hits}
        held = self.lines(company, [hits[0].document_id for hits in found.values() if len(hits) == 1])
        return {d.key: held_outcome(d, found[d.key], held) for d in documents if d.key in found}

    def _create(self, document: Journal) -> Outcome:
        key = document.key
        try:
            answer, is_journal = self._client.create(document.company, self._documents.record(document), key)
        except AlreadyThere as error:
            return self._told_of_it(document, error.failure)
        except ErpError as error:
            return Outcome(key, failure=error.failure)
        if not is_journal:
            return Outcome(key, "accepted", job_id=str(answer.get("id")))
        try:
            found = self._documents.found(answer)
        except ErpError as error:
            return Outcome(key, failure=Failure("uncertain", error.failure.message))
        return Outcome(key, found.state, found.document_id, found.number)

    def _told_of_it(self, document: Journal, refusal: Failure) -> Outcome:
        """The ledger has the key, though the look-up before did not show it: look again, and later if still not."""
        try:
            there = self._already_there(document.company, [document]).get(document.key)
        except ErpError as error:
            return Outcome(document.key, failure=Failure("uncertain", error.failure.message))
        return there or Outcome(document.key, failure=Failure("uncertain", refusal.message, refusal.evidence))

    def _polled(self, company: str, key: str, job_id: str) -> Outcome:
        try:
            job = self._client.job(company, job_id)
            if job is None:
                words = f"The ledger no longer knows job {job_id}."
                return Outcome(key, job_id=job_id, failure=Failure("uncertain", words))
            if job.get("state") == "failed":
                error = job.get("error") or {}
                failure = refused(str(error.get("code")), str(error.get("message") or ""))
                return Outcome(key, job_id=job_id, failure=failure)
            if job.get("state") != "done":
                return Outcome(key, "accepted", job_id=job_id)
            (found,) = [hit for row in job.get("journals") or () if (hit := self._documents.found(row)).key == key]
        except ErpError as error:
            return Outcome(key, job_id=job_id, failure=error.failure)
        except ValueError:
            words = f"Job {job_id} is done, and its answer does not show the journal."
            return Outcome(key, job_id=job_id, failure=Failure("uncertain", words))
        return Outcome(key, found.state, found.document_id, found.number, job_id=job_id)

    def _masters(self, companies: set[str], named: Sequence[MasterKey]) -> dict[str, CompanyMasters | None]:
        """What each company has; of customers and items only the `named` ones are asked for."""
        currencies = {str(row.get("name")): str(row.get("currency")) for row in self._client.companies()}
        masters: dict[str, CompanyMasters | None] = {}
        for company in companies:
            if company not in currencies:
                masters[company] = None
                continue
            codes = frozenset(str(row.get("code")) for row in self._client.rows(company, "accounts"))
            mine = [key for key in named if key.company == company]
            customers, items = (self._there(company, kind, mine) for kind in ("customer", "item"))
            masters[company] = CompanyMasters(currencies[company], codes, self.periods(company), customers, items)
        return masters

    @property
    def _has_details(self) -> bool:
        """Whether it takes documents with customers and items; a ledger of journals alone serves neither list."""
        return self._capabilities.kinds != {"journal"}

    def _there(self, company: str, kind: str, named: Sequence[MasterKey]) -> frozenset[str]:
        codes = sorted({key.code for key in named if key.kind == kind}) if self._has_details else []
        rows = [
            row
            for chunk in chunks(codes, KEYS_PER_REQUEST)
            for row in self._client.rows(company, LISTS[kind], code=chunk)
        ]
        return frozenset(codes) & {str(row.get("code")) for row in rows}
