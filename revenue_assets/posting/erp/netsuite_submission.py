"""Bringing documents into NetSuite: look, send once, explain a refusal by looking, see how far it got."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from revenue_assets.posting.erp.documents import held_outcome
from revenue_assets.posting.erp.netsuite_customers import Customers
from revenue_assets.posting.erp.netsuite_documents import DETAIL_TYPES, JOURNAL, PAYMENT, Documents
from revenue_assets.posting.erp.netsuite_failures import failure_of, reading
from revenue_assets.posting.erp.netsuite_invoices import Invoices
from revenue_assets.posting.erp.netsuite_jobs import Jobs
from revenue_assets.posting.erp.netsuite_ledger import Ledger
from revenue_assets.posting.erp.netsuite_masters import Masters
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.posting.erp.port import ErpError, Failure, Found, Journal, Outcome
from revenue_assets.sources.netsuite_client import NetSuiteClient
from revenue_assets.sources.netsuite_faults import NetSuiteFault

# How long one call waits for its own jobs, before what needs them is put off.
JOB_WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Details:
    """What documents besides journals need."""

    customers: Customers
    invoices: Invoices


class Submission:
    """`details`: None where only journals are posted. `is_async`: documents are made by jobs."""

    def __init__(
        self, client: NetSuiteClient, masters: Masters, documents: Documents, ledger: Ledger, details: Details | None,
        *, is_async: bool,
    ) -> None:  # fmt: skip
        self._client, self._masters, self._documents, self._ledger = client, masters, documents, ledger
        self._details, self._is_async = details, is_async
        # Record types of what this process sent, by key.
        self._sent_as: dict[str, str] = {}
        self.jobs = Jobs(client, lambda key: self.find([key])[key])

    def refusals(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        """What would be refused, by key. A refusal is never built on kept masters."""
        with reading():
            if self._is_async:
                self.forget()  # a job's refusal comes when nobody is there to look again
            else:
                self.age()
            refused = self._refused(documents)
            if refused and not self._masters.is_fresh:
                self.forget()
                refused = self._refused(documents)
            return refused

    def find(self, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """By the ledger's tables; a key they do not show (yet) is asked for as a record, which has no index to lag."""
        with reading():
            shown = self._ledger.by_key(keys)
            return {key: shown.get(key) or self._as_record(key) for key in keys}

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        """See `ErpPort.submit`: kind by kind, what settles after what is settled."""
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
            outcomes |= {o.key: o for o in self.jobs.poll_all(queued)}
            if time.monotonic() > give_up or any(outcomes[key].failure for key in queued):
                return
            time.sleep(0.2)

    def _submit_kind(self, documents: Sequence[Journal]) -> tuple[dict[str, Outcome], Failure | None]:
        """Looks, creates what is missing, looks how far it got. The failure is that of a request which NetSuite did not
        take: who did not take one will not take the next, so the rest goes back to be sent later."""
        try:
            outcomes = self._already_there(documents)
            # What is there has been settled already: it takes nothing from what is open for the others.
            refused = self.refusals([document for document in documents if document.key not in outcomes])
            outcomes |= {key: Outcome(key, failure=failure) for key, failure in refused.items()}
        except ErpError as error:
            return {d.key: Outcome(d.key, failure=error.failure) for d in documents}, error.failure
        silent: Failure | None = None
        for document in documents:
            if document.key not in outcomes:
                outcomes[document.key] = made = _unsent(document, silent) if silent else self._create(document)
                silent = silent or (made.failure if made.failure and made.failure.retry else None)
        return {outcome.key: outcome for outcome in self._as_shown(list(outcomes.values()))}, silent

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
        self._sent_as[document.key] = record_type
        try:
            if self._is_async:
                return self.jobs.submit(record_type, document.key, values)
            created = self._client.create(record_type, values)
        except NetSuiteFault as fault:
            if fault.kind != "refused":
                return Outcome(document.key, failure=failure_of(fault))
            return self._explained(fault, document)
        return Outcome(document.key, "created", created.record_id)

    def _record_of(self, document: Journal) -> tuple[str, dict[str, Any]] | Failure:
        """Record type and body, once the items of its lines are there."""
        if document.kind == "journal" or self._details is None:
            return JOURNAL, self._documents.values(document)
        record_type = self._details.invoices.record_type(document)
        if record_type != PAYMENT and (failure := self._details.customers.ensure_items(document)) is not None:
            return failure
        return record_type, self._details.invoices.values(document)

    def _explained(self, fault: NetSuiteFault, document: Journal) -> Outcome:
        try:
            there = self._already_there([document], ask_record=True).get(document.key)
            if there is not None:
                return there
            self.forget()
            known = self.refusals([document]).get(document.key)
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
            shown = self.find(keys) if ask_record else self._ledger.by_key(keys)
            found = {key: hits for key, hits in shown.items() if hits}
            ids = [hits[0].document_id for hits in found.values() if len(hits) == 1]
            held = self._ledger.documents(ids) if ids else {}
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
        types = (JOURNAL,) if self._details is None else (JOURNAL, *DETAIL_TYPES)
        known = self._sent_as.get(key)
        asked = (known,) if known else types
        records = [record for kind in asked if (record := self._client.record(kind, key)) is not None]
        return tuple(Found(key, str(record["id"]), record.get("tranId"), "created") for record in records)

    def _refused(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        refused = {d.key: failure for d in documents if (failure := self._documents.refusal(d)) is not None}
        others = [d for d in documents if d.kind != "journal" and d.key not in refused]
        return refused | self._details.invoices.refusals(others) if others and self._details is not None else refused

    def age(self) -> None:
        """Called before a piece of work: masters that are too old are read anew."""
        self._masters.age()
        if self._masters.is_fresh:
            self.forget()

    def forget(self) -> None:
        """Masters are read anew when they are asked for again."""
        self._masters.forget()
        if self._details is not None:
            self._details.customers.forget()


def _unsent(document: Journal, cause: Failure) -> Outcome:
    """Nothing of it can be in NetSuite, so that it needs no look-up: `throttled`, unless the login is the matter."""
    kind = "auth" if cause.failure_class == "auth" else "throttled"
    words = f"Not sent: the document before it met this: {cause.message}"
    return Outcome(document.key, failure=Failure(kind, words, retry_after=cause.retry_after))
