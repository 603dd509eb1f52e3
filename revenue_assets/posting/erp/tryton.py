"""Tryton 8 behind the ERP port, over its JSON-RPC.

The key is the move's `description`, alone and exact; Tryton does not make it unique, so the port's capabilities ask
for one writer per company and for a settle time of the longest request. A batch is created in one call and posted in
one call, each call one transaction: a kill between the two leaves drafts, which the next submit finds and posts.

Error texts are translated and change between versions: a refused call is classified by checking the document again
(period, accounts, balance), never by its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.documents import held_outcome, reversal_journal
from revenue_assets.posting.erp.port import (
    AccountBalance,
    Capabilities,
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
from revenue_assets.posting.erp.tryton_documents import STATES, Documents
from revenue_assets.posting.erp.tryton_masters import Masters
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
JOURNAL_CODE = "REV"


class TrytonErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits. `journal`: code of the journal that ours go into.

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
        batch_size_max: int = BATCH_SIZE_MAX,
        settle_seconds: float = SETTLE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._rpc = TrytonRpc(base_url, database, user, password, transport=transport)
        self._masters = Masters(self._rpc, journal)
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
        )
        self._documents = Documents(self._masters, exponents, self._capabilities)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Gives the connection back."""
        self._rpc.close()

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        with _reading():
            self._masters.forget()
            found: dict[MasterKey, str] = {}
            for key in wanted:
                known = self._masters.lookup(key)
                if known is not None:
                    found[key] = str(known)
            return found

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Nothing is made here: journals name no customer and no item."""
        found = self.resolve([master.key for master in masters])
        return {
            master.key: Failure("mapping_missing", f"The ERP has no {master.kind} {master.code}.")
            for master in masters
            if master.key not in found
        }

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        with _reading():
            return tuple(period.as_port(company) for period in self._masters.periods(company))

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        with _reading():
            self._masters.forget()
            return {d.key: failure for d in documents if (failure := self._documents.refusal(d)) is not None}

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        found: dict[str, tuple[Found, ...]] = {key: () for key in keys}
        with _reading():
            rows = self._rpc.search_read(
                "account.move",
                [["company", "=", self._masters.company(company)], ["description", "in", list(found)]],
                ["description", "number", "state"],
                self._masters.context(company),
                order=[["id", "ASC"]],
            )
        for row in rows:
            match = Found(row["description"], str(row["id"]), row["number"], STATES[row["state"]])
            found[match.key] = (*found[match.key], match)
        return found

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        outcomes: dict[str, Outcome] = {}
        for company in dict.fromkeys(document.company for document in documents):
            mine = [document for document in documents if document.company == company]
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
        ids = [int(document_id) for document_id in document_ids]
        with _reading():
            context = self._masters.context(company)
            moves = self._rpc.search_read(
                "account.move",
                [["id", "in", ids]],
                ["description", "number", "state", "date", "period", "company.party.name", "company.currency.code"],
                context,
            )
            rows = self._rpc.search_read(
                "account.move.line",
                [["move", "in", ids]],
                [
                    "move",
                    "account.code",
                    "debit",
                    "credit",
                    "amount_second_currency",
                    "second_currency.code",
                    "description",
                ],
                context,
                order=[["id", "ASC"]],
            )
            periods = {period.id: period for period in self._masters.periods(company)}
        by_move: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            by_move.setdefault(row["move"], []).append(row)
        return {str(m["id"]): self._documents.read(m, by_move.get(m["id"], []), periods) for m in moves}

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        with _reading():
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
        return self.submit([document])[0]

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
        return {d.key: held_outcome(d, found[d.key], held) for d in documents if d.key in found}

    def _create(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Drafts in one transaction. A refusal is hunted down by halves, so that one bad document harms only itself."""
        if not documents:
            return {}
        try:
            values = [self._documents.values(document) for document in documents]
            ids = self._rpc.call("model.account.move.create", values, self._masters.context(company))
        except RpcFault as fault:
            if fault.kind == "refused" and len(documents) > 1:
                half = len(documents) // 2
                return self._create(company, documents[:half]) | self._create(company, documents[half:])
            return {d.key: Outcome(d.key, failure=self._explained(fault, d)) for d in documents}
        if len(ids) != len(documents):
            failure = Failure("uncertain", f"{len(documents)} documents were sent, the ERP answered {len(ids)} ids.")
            return {d.key: Outcome(d.key, failure=failure) for d in documents}
        return {d.key: Outcome(d.key, "created", str(i)) for d, i in zip(documents, ids, strict=True)}

    def _post(self, company: str, drafts: Sequence[Outcome], documents: Mapping[str, Journal]) -> dict[str, Outcome]:
        """Posts drafts in one transaction and reads the numbers that posting gave them."""
        if not drafts:
            return {}
        ids = [int(draft.document_id or 0) for draft in drafts]
        try:
            self._rpc.call("model.account.move.post", ids, self._masters.context(company))
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
        return _failure(fault)


@contextmanager
def _reading() -> Iterator[None]:
    """Turns a transport fault of a read into the port's ErpError."""
    try:
        yield
    except RpcFault as fault:
        raise ErpError(_failure(fault)) from fault


_SENTENCES: dict[str, Callable[[RpcFault], Failure]] = {
    "auth": lambda f: Failure("auth", "The ERP refused the robot's login or its right to this call.", str(f)),
    "throttled": lambda f: Failure("throttled", "The ERP asked us to come back later.", str(f), f.retry_after),
    "unavailable": lambda f: Failure("unavailable", "The ERP does not answer.", str(f), f.retry_after),
    "uncertain": lambda f: Failure("uncertain", "The request was sent and its outcome is not known.", str(f)),
    "refused": lambda f: Failure("invalid", f"The ERP refused it: {f}", str(f)),
}


def _failure(fault: RpcFault) -> Failure:
    return _SENTENCES[fault.kind](fault)


def _with(draft: Outcome, failure: Failure) -> Outcome:
    return Outcome(
        draft.key, draft.state, draft.document_id, draft.number, already_there=draft.already_there, failure=failure
    )


def _posted(draft: Outcome, hit: Found | None) -> Outcome:
    if hit is None or hit.state != "posted":
        failure = Failure("uncertain", f"Move {draft.document_id} was posted, but the ERP does not show it as posted.")
        return _with(draft, failure)
    return Outcome(draft.key, "posted", draft.document_id, hit.number, already_there=draft.already_there)
