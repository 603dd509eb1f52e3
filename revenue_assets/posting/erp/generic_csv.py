"""A ledger that takes journal files and gives extracts (docs/erp-generic.md) behind the ERP port; asynchronous.

A journal is `accepted` once its file is in the inbox, and `posted` when the ledger's extract shows it: an
acknowledgement alone is the importer's word, not the books. One file per journal and attempt, named by the key, made
exclusively: while a file has no answer, no second one is sent; after a rejection the next attempt is a new file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from revenue_assets.domain.config_erp_generic import DropOptions
from revenue_assets.posting.erp.documents import held_outcome, reversal_journal
from revenue_assets.posting.erp.generic_documents import CompanyMasters, GenericDocuments, refused, resolved
from revenue_assets.posting.erp.generic_files import KEY, DropFolder, Row
from revenue_assets.posting.erp.generic_records import periods_of
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
)


class GenericCsvErp:
    """An ErpPort. `exponents`: currency -> minor-unit digits."""

    def __init__(self, root: Path, options: DropOptions, exponents: Mapping[str, int]) -> None:
        self._files = DropFolder(root, options.delimiter, options.folders)
        self._capabilities = Capabilities(
            vendor="generic_csv",
            mode="async",
            key_length_max=options.key_length_max,
            key_unique=options.key_unique,
            atomic_unit="document",
            batch_size_max=options.batch_size_max,
            writer_scope="company",
            posts_itself=True,
            settle_seconds=options.settle_seconds,
        )
        self._currencies = dict(exponents)
        self._documents = GenericDocuments(exponents, self._capabilities)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def close(self) -> None:
        """Nothing is held open."""

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        self._files.check()
        return resolved(wanted, self._masters(), self._currencies)

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """The contract has journals alone, and those name no customer and no item."""
        words = "The file contract has journals only: it makes no customers and no items."
        return {master.key: Failure("unsupported", words) for master in masters}

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        self._files.check()
        return periods_of(company, [row for row in self._files.masters("periods") if row.get("company") == company])

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        self._files.check()
        masters = self._masters()
        found = {d.key: self._refusal(d, masters.get(d.company)) for d in documents}
        return {key: failure for key, failure in found.items() if failure is not None}

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """In the books; else, as `accepted`, a file that has not been rejected: the ledger may still take it."""
        self._files.check()
        # Files first: one that is taken between the two looks is then in the books, or seen as a file.
        files = self._files.attempts(keys)
        found: dict[str, tuple[Found, ...]] = {key: () for key in keys}
        for record in self._files.journals(company):
            if record["external_id"] in found:
                hit = self._documents.found(record)
                found[hit.key] = (*found[hit.key], hit)
        for key, numbers in files.items():
            if not found[key] and not _is_rejected(self._files.ack(key, numbers[-1])):
                found[key] = (Found(key, f"{key}.{numbers[-1]}", None, "accepted"),)
        return found

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        keys = [document.key for document in documents]
        if len(set(keys)) != len(keys):
            raise ValueError("one call has the same key twice")
        try:
            refused_by_key = self.preflight(documents)
            there = self._in_books(documents)
            files = self._files.attempts([key for key in keys if KEY.fullmatch(key)])
        except ErpError as error:
            return tuple(Outcome(key, failure=error.failure) for key in keys)
        outcomes = []
        for document in documents:
            key = document.key
            if key in there:
                outcomes.append(there[key])
            elif key in refused_by_key and key not in files:
                outcomes.append(Outcome(key, failure=refused_by_key[key]))
            else:
                outcomes.append(self._sent(document, files.get(key, []), refused_by_key.get(key)))
        return tuple(outcomes)

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        try:
            found = self.find(company, list(job_ids))
            files = self._files.attempts(list(job_ids))
        except ErpError as error:
            return tuple(Outcome(key, job_id=job, failure=error.failure) for key, job in job_ids.items())
        return tuple(self._polled(key, job, found[key], files.get(key, [])) for key, job in job_ids.items())

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        self._files.check()
        wanted = set(document_ids)
        read = [self._documents.read(company, r) for r in self._files.journals(company) if r["id"] in wanted]
        return {document.document_id: document for document in read}

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        """Summed from the extract: it holds every journal of the period, not ours alone."""
        self._files.check()
        sums: dict[tuple[str, str], list[int]] = {}
        for record in self._files.journals(company, period):
            document = self._documents.read(company, record)
            if document.state != "posted":
                continue
            if document.defects:
                words = f"Journal {document.number} in the extract is no money: {'; '.join(document.defects)}."
                raise ErpError(Failure("readback_mismatch", words))
            for line in document.lines:
                both = sums.setdefault((line.account_code, document.functional_currency), [0, 0])
                both[0] += line.debit
                both[1] += line.credit
        return tuple(
            AccountBalance(company, period, code, currency, debit, credit)
            for (code, currency), (debit, credit) in sorted(sums.items())
        )

    def reverse(self, request: Reversal) -> Outcome:
        try:
            original = self.lines(request.company, [request.document_id]).get(request.document_id)
        except ErpError as error:
            return Outcome(request.key, failure=error.failure)
        document = reversal_journal(original, request)
        if isinstance(document, Failure):
            return Outcome(request.key, failure=document)
        return self.submit([document])[0]

    # -- one document ------------------------------------------------------------------------------------------

    def _refusal(self, document: Journal, masters: CompanyMasters | None) -> Failure | None:
        if not KEY.fullmatch(document.key):
            return Failure("invalid", "The key must be letters, digits, _ and - alone: it names a file.")
        return self._documents.refusal(document, masters)

    def _in_books(self, documents: Sequence[Journal]) -> dict[str, Outcome]:
        made: dict[str, Outcome] = {}
        for company in {document.company for document in documents}:
            mine = {d.key: d for d in documents if d.company == company}
            records = [r for r in self._files.journals(company) if r["external_id"] in mine]
            held = [self._documents.read(company, record) for record in records]
            for key in {document.key for document in held}:
                hits = tuple(self._documents.found(r) for r in records if r["external_id"] == key)
                made[key] = held_outcome(mine[key], hits, {document.document_id: document for document in held})
        return made

    def _sent(self, document: Journal, numbers: Sequence[int], refusal: Failure | None) -> Outcome:
        """Makes the next file, unless the last one has no rejection: then that one is the journal."""
        key = document.key
        text = self._files.text(_rows(document, self._documents.record(document)))
        try:
            if numbers:
                ack = self._files.ack(key, numbers[-1])
                if not _is_rejected(ack):
                    before = self._files.sent(key, numbers[-1])
                    if before is not None and before != text:
                        words = f"File {key}.{numbers[-1]}.csv with this key and other content was sent before."
                        return Outcome(key, failure=Failure("conflict", words))
                    return Outcome(key, "accepted", job_id=f"{key}.{numbers[-1]}", already_there=True)
                if refusal is not None:
                    return Outcome(key, failure=refusal)
            attempt = numbers[-1] + 1 if numbers else 1
            made = self._files.send(key, attempt, text)
        except ErpError as error:
            return Outcome(key, failure=error.failure)
        except OSError as error:
            words = "The journal file could not be written to the end."
            return Outcome(key, failure=Failure("uncertain", words, str(error)))
        return Outcome(key, "accepted", job_id=f"{key}.{attempt}", already_there=not made)

    def _polled(self, key: str, job: str, hits: tuple[Found, ...], numbers: Sequence[int]) -> Outcome:
        in_books = [hit for hit in hits if hit.state != "accepted"]
        if len(in_books) > 1:
            shown = ", ".join(hit.number or hit.document_id for hit in in_books)
            return Outcome(key, failure=Failure("conflict", f"Key {key} is in the ledger more than once: {shown}."))
        if in_books:
            (hit,) = in_books
            return Outcome(key, hit.state, hit.document_id, hit.number, job_id=job)
        if not numbers:
            words = f"There is neither a file nor a journal of {key}: was the drop directory emptied?"
            return Outcome(key, job_id=job, failure=Failure("uncertain", words))
        ack = self._files.ack(key, numbers[-1])
        if ack is not None and _is_rejected(ack):
            return Outcome(key, job_id=job, failure=refused(ack.get("code", ""), ack.get("message", "")))
        sent = self._files.sent(key, numbers[-1])
        if sent is None and ack is None:
            words = f"File {key}.{numbers[-1]}.csv is gone without an answer."
            return Outcome(key, job_id=job, failure=Failure("uncertain", words))
        return Outcome(key, "accepted", job_id=job)

    def _masters(self) -> dict[str, CompanyMasters | None]:
        accounts = self._files.masters("accounts")
        return {
            row["name"]: CompanyMasters(
                row["currency"],
                frozenset(a["code"] for a in accounts if a["company"] == row["name"]),
                self.periods(row["name"]),
            )
            for row in self._files.masters("companies")
        }


def _rows(document: Journal, record: Mapping[str, Any]) -> list[Row]:
    head = {
        "external_id": record["external_id"],
        "company": document.company,
        "date": record["date"],
        "currency": record["currency"],
        "text": _one_line(record["text"]),
        "reverses": record["reverses"] or "",
    }
    return [
        head
        | {
            "line_no": str(number),
            "account": line["account"],
            "debit": line["debit"],
            "credit": line["credit"],
            "line_currency": line["currency"],
            "amount": line["amount"],
            "line_text": _one_line(line["text"]),
            "dimensions": json.dumps(line["dimensions"], sort_keys=True),
        }
        for number, line in enumerate(record["lines"], start=1)
    ]


def _one_line(text: str) -> str:
    """Importers split at line ends, whatever the quotes say."""
    return " ".join(text.split())


def _is_rejected(ack: Row | None) -> bool:
    return ack is not None and ack.get("status") == "rejected"
