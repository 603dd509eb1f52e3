"""Documents on their way into Tryton: checked, looked for, created in one call, posted in one call.

Each call is one transaction: a kill between the two leaves drafts, which the next submit finds and posts. Error texts
are translated and change between versions: a refused call is classified by checking the document again (period,
accounts, balance), never by its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from revenue_assets.posting.erp.documents import held_outcome
from revenue_assets.posting.erp.open_items import ORDER
from revenue_assets.posting.erp.port import ErpError, Failure, Found, Journal, Master, MasterKey, Outcome
from revenue_assets.posting.erp.tryton_customers import Customers
from revenue_assets.posting.erp.tryton_documents import Documents
from revenue_assets.posting.erp.tryton_faults import failure_of, reading
from revenue_assets.posting.erp.tryton_invoices import PREFIX, Invoices
from revenue_assets.posting.erp.tryton_ledger import INVOICE_KINDS, Ledger
from revenue_assets.posting.erp.tryton_masters import Masters
from revenue_assets.posting.erp.tryton_settlement import Settlement
from revenue_assets.sources.tryton_rpc import RpcFault, TrytonRpc

# Bounds the length of one call: 50 journals of 11 lines took 0.5 s on an idle machine, up to 3.1 s on a busy one.
BATCH_LINES_MAX = 2_000


class Submission:
    """`batch_size_max`: documents in one call.

    Masters are kept from call to call for a while. No refusal is built on what was kept: it is read anew first, also
    when the ERP refuses what we took to be sound.
    """

    def __init__(
        self,
        rpc: TrytonRpc,
        masters: Masters,
        customers: Customers,
        documents: Documents,
        invoices: Invoices,
        settlement: Settlement,
        ledger: Ledger,
        batch_size_max: int,
    ) -> None:
        self._rpc, self._masters, self._customers = rpc, masters, customers
        self._documents, self._invoices, self._settlement = documents, invoices, settlement
        self._ledger, self._batch_size_max = ledger, batch_size_max

    def forget(self) -> None:
        """Reads every master anew when it is asked for again."""
        self._masters.forget()
        self._customers.forget()

    def _age(self) -> None:
        if self._masters.age():
            self._customers.forget()
        self._customers.forget_absent()

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Makes customers and items that are missing. Raises ErpError."""
        with reading():
            self._age()
            failed = self._customers.ensure(masters)
            if failed and not self._masters.is_fresh:
                self.forget()
                failed = self._customers.ensure([master for master in masters if master.key in failed])
            return failed

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        """A document that settles one which is not posted yet is refused: it comes after it. Raises ErpError."""
        with reading():
            self._age()
            refused = self._refused(documents)
            if refused and not self._masters.is_fresh:
                self.forget()
                refused = self._refused(documents)
            return refused

    def submit(self, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Outcomes by key; what settles goes after what it settles."""
        outcomes: dict[str, Outcome] = {}
        for company in dict.fromkeys(document.company for document in documents):
            for kind in ORDER:
                mine = [document for document in documents if (document.company, document.kind) == (company, kind)]
                for chunk in self.chunks(mine):
                    outcomes |= self._submit_chunk(company, chunk)
        return outcomes

    def chunks(self, documents: Sequence[Journal]) -> Iterator[list[Journal]]:
        """One call's worth each: bounded in documents and in lines; a longer document goes alone."""
        chunk: list[Journal] = []
        lines = 0
        for document in documents:
            full = len(chunk) == self._batch_size_max or lines + len(document.lines) > BATCH_LINES_MAX
            if chunk and full:
                yield chunk
                chunk, lines = [], 0
            chunk.append(document)
            lines += len(document.lines)
        if chunk:
            yield chunk

    def _refused(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        self._customers.parties(self._documents.customers_of(documents))
        refused = {d.key: failure for d in documents if (failure := self._refusal(d)) is not None}
        for company in dict.fromkeys(document.company for document in documents):
            settling = [d for d in documents if d.company == company and d.applies_to and d.key not in refused]
            parties = self._customers.parties(d.customer.id for d in settling if d.customer)
            known = {code: str(party) for code, party in parties.items()}
            refused |= self._settlement.refusals(company, settling, self._documents.minor, known)
        return refused

    def _refusal(self, document: Journal) -> Failure | None:
        failure = self._documents.refusal(document)
        if failure is None and document.kind in INVOICE_KINDS:
            failure = self._invoices.refusal(document)
        if failure is None and document.kind == "cash_application":
            failure = self._documents.unsettleable(document)
        return failure

    # -- one chunk: documents of one company and kind ---------------------------------------------------------------

    def _submit_chunk(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Looks, creates what is missing, posts what is not posted. Never raises for what the ERP does."""
        try:
            outcomes = self._already_there(company, documents)
            # What is there has settled already: it takes nothing from what is open for the others.
            refused = self.preflight([document for document in documents if document.key not in outcomes])
            outcomes |= {key: Outcome(key, failure=failure) for key, failure in refused.items()}
        except ErpError as error:
            return {document.key: Outcome(document.key, failure=error.failure) for document in documents}
        made = self._create(company, [d for d in documents if d.key not in outcomes])
        left = [o for o in outcomes.values() if o.state == "created" and o.failure is None]
        outcomes |= made
        by_key = {document.key: document for document in documents}
        outcomes |= self._post(company, left, by_key, is_new=False)
        outcomes |= self._post(company, [o for o in made.values() if o.failure is None], by_key, is_new=True)
        return outcomes

    def _already_there(self, company: str, documents: Sequence[Journal]) -> dict[str, Outcome]:
        """Outcomes of the keys that the ERP holds: as it holds them if the content is ours, else a conflict."""
        with reading():
            shown = self._ledger.find(company, [d.key for d in documents], {d.kind for d in documents})
            found = {key: hits for key, hits in shown.items() if hits}
            held = self._ledger.lines(company, [hits[0].document_id for hits in found.values() if len(hits) == 1])
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
        is_invoice = documents[0].kind in INVOICE_KINDS
        model = "account.invoice" if is_invoice else "account.move"
        try:
            if is_invoice:
                values = self._invoices.values(company, documents)
            else:
                targets = self._settled_by(company, documents)
                values = [self._documents.values(document, targets) for document in documents]
            ids = self._rpc.call(f"model.{model}.create", values, self._masters.context(company))
        except RpcFault as fault:
            if fault.kind == "refused" and not self._masters.is_fresh:
                return self._create_anew(company, documents, fault)
            if fault.kind == "refused" and len(documents) > 1:
                half = len(documents) // 2
                return self._create(company, documents[:half]) | self._create(company, documents[half:])
            return {d.key: Outcome(d.key, failure=self._explained(fault, d)) for d in documents}
        except ErpError as error:
            return {d.key: Outcome(d.key, failure=error.failure) for d in documents}
        if len(ids) != len(documents):
            failure = Failure("uncertain", f"{len(documents)} documents were sent, the ERP answered {len(ids)} ids.")
            return {d.key: Outcome(d.key, failure=failure) for d in documents}
        prefix = PREFIX if is_invoice else ""
        return {d.key: Outcome(d.key, "created", f"{prefix}{i}") for d, i in zip(documents, ids, strict=True)}

    def _create_anew(self, company: str, documents: Sequence[Journal], fault: RpcFault) -> dict[str, Outcome]:
        """After a refusal of what kept masters said was sound (nothing was made): checked and made with fresh ones."""
        self.forget()
        try:
            with reading():
                refused = self._refused(documents)
        except ErpError as error:
            return {document.key: Outcome(document.key, failure=error.failure) for document in documents}
        outcomes = {
            key: Outcome(key, failure=replace(failure, evidence=str(fault))) for key, failure in refused.items()
        }
        return outcomes | self._create(company, [d for d in documents if d.key not in refused])

    def _settled_by(self, company: str, documents: Sequence[Journal]) -> dict[str, int]:
        """Number of each invoice that the documents settle -> Tryton's id."""
        numbers = [part.reference for document in documents for part in document.applies_to]
        return {number: hits[0].id for number, hits in self._settlement.targets(company, numbers).items()}

    def _post(
        self, company: str, drafts: Sequence[Outcome], documents: Mapping[str, Journal], *, is_new: bool
    ) -> dict[str, Outcome]:
        """Posts drafts in one transaction and reads the numbers that posting gave them. `is_new`: nobody has tried to
        post them before, so none is posted in part."""
        if not drafts:
            return {}
        sent = {int((draft.document_id or "0").removeprefix(PREFIX)): documents[draft.key] for draft in drafts}
        kind = documents[drafts[0].key].kind
        try:
            if kind in INVOICE_KINDS:
                self._invoices.post(company, sent, is_new=is_new)
            else:
                # A draft that settles an invoice does so before it is posted: after that, nobody would come back.
                self._settlement.close(company, self._settled_by(company, list(sent.values())).values())
                self._rpc.call("model.account.move.post", list(sent), self._masters.context(company))
        except RpcFault as fault:
            if fault.kind == "refused" and len(drafts) > 1:
                half = len(drafts) // 2
                first = self._post(company, drafts[:half], documents, is_new=False)
                return first | self._post(company, drafts[half:], documents, is_new=False)
            return {d.key: _with(d, failure=self._explained(fault, documents[d.key])) for d in drafts}
        try:
            with reading():
                found = self._ledger.find(company, [draft.key for draft in drafts], {kind})
        except ErpError as error:
            # Posted for sure; only the number is unknown. A look-up brings it.
            failure = Failure("uncertain", f"Posted, but the number could not be read: {error.failure.message}")
            return {d.key: _with(d, failure=failure) for d in drafts}
        numbers = {hit.document_id: hit for hits in found.values() for hit in hits}
        return {d.key: _posted(d, numbers.get(d.document_id or "")) for d in drafts}

    def _explained(self, fault: RpcFault, document: Journal) -> Failure:
        """A refusal is explained by looking at the document again: a period may have closed a moment ago."""
        if fault.kind == "refused":
            self.forget()
            try:
                with reading():
                    known = self._refused([document]).get(document.key)
            except ErpError:
                known = None
            if known is not None:
                return replace(known, evidence=str(fault))
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
