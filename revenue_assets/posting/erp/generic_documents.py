"""What the generic contracts' ledgers (docs/erp-generic.md) would refuse, and what their refusals mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from revenue_assets.posting.erp.documents import masters_of, receivable_lines, reversal_journal, reversed_lines, unfit
from revenue_assets.posting.erp.generic_records import GenericRecords
from revenue_assets.posting.erp.port import (
    Application,
    Capabilities,
    Customer,
    ErpPeriod,
    Failure,
    Journal,
    MasterKey,
    PostedDocument,
    Reversal,
)

# What settles an invoice that is not there: it may be on its way, so that it is looked for and sent again.
UNKNOWN_INVOICE = "unknown_invoice"
# The contract's closed list of reasons, and what each means for a poster. A reason that is not here is `invalid`.
REASONS: dict[str, str] = {
    "period_closed": "period_closed",
    "no_period": "mapping_missing",
    "unknown_account": "mapping_missing",
    "unknown_company": "mapping_missing",
    "unknown_customer": "mapping_missing",
    "unknown_item": "mapping_missing",
    "duplicate": "conflict",
    "key_reused": "conflict",
    "stale_version": "conflict",
    "recognised": "recognised_already",
    "unbalanced": "invalid",
    "not_open": "invalid",
    UNKNOWN_INVOICE: "uncertain",
    "invalid": "invalid",
}


def refused(code: str, message: str) -> Failure:
    """What the ledger's own refusal means."""
    return Failure(REASONS.get(code, "invalid"), f"The ledger refused it: {message or code}", evidence=code)


@dataclass(frozen=True, slots=True)
class CompanyMasters:
    """What a company's postings may name. `accounts`: codes; `customers` and `items`: those that are there of the ones
    that the documents name."""

    currency: str
    accounts: frozenset[str]
    periods: tuple[ErpPeriod, ...] = ()
    customers: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()


class GenericDocuments(GenericRecords):
    """Records, and which documents are fit to become one. `exponents`: currency -> minor-unit digits."""

    def __init__(self, exponents: Mapping[str, int], capabilities: Capabilities) -> None:
        super().__init__(exponents)
        self._capabilities = capabilities

    def unfit(self, document: Journal) -> Failure | None:
        """What needs no look at the ledger: the document itself, and currencies whose digits nobody knows."""
        unknown = {document.functional_currency, *(x.currency for x in document.lines)} - set(self._exponents)
        if unknown:
            return Failure("mapping_missing", f"The minor-unit digits of {', '.join(sorted(unknown))} are not known.")
        return unfit(document, self._capabilities)

    def refusal(self, document: Journal, masters: CompanyMasters | None) -> Failure | None:
        """What the ledger would refuse, by its master data. `masters`: None if it has no such company."""
        unsound = self.unfit(document)
        if unsound is not None:
            return unsound
        company = document.company
        if masters is None:
            return Failure("mapping_missing", f"The ledger has no company {company!r}.")
        if masters.currency != document.functional_currency:
            words = f"{company} keeps its books in {masters.currency}, the document is in"
            return Failure("mapping_missing", f"{words} {document.functional_currency}.")
        missing = sorted({x.account_code for x in document.lines} - masters.accounts)
        if missing:
            return Failure("mapping_missing", f"Missing in the ledger for {company}: account {', '.join(missing)}.")
        known = {"customer": masters.customers, "item": masters.items}
        unknown = [f"{m.kind} {m.code}" for m in masters_of(document) if m.code not in known[m.kind]]
        if unknown:
            return Failure("mapping_missing", f"Missing in the ledger for {company}: {', '.join(unknown)}.")
        date = document.accounting_date
        period = next((p for p in masters.periods if p.start_date <= date <= p.end_date), None)
        if period is None:
            return Failure("mapping_missing", f"{company} has no period for {date} in the ledger.")
        if period.state != "open":
            return Failure("period_closed", f"Period {period.name} of {company} is closed in the ledger.")
        return None


def resolved(
    wanted: Sequence[MasterKey], masters: Mapping[str, CompanyMasters | None], known: Iterable[str]
) -> dict[MasterKey, str]:
    """Ids of masters; in the generic contracts a master's id is its code. `known`: currencies with known digits."""
    found: dict[MasterKey, str] = {}
    currencies = set(known)
    for key in wanted:
        company = masters.get(key.company)
        there = {
            "company": masters.get(key.code) is not None,
            "account": company is not None and key.code in company.accounts,
            "currency": key.code in currencies,
            "customer": company is not None and key.code in company.customers,
            "item": company is not None and key.code in company.items,
        }.get(key.kind, False)
        if there:
            found[key] = key.code
    return found


def reversal(original: PostedDocument | None, request: Reversal) -> Journal | Failure:
    """The document that takes a posted one back exactly, or why there is none: of an invoice a credit note that settles
    it, whole; of a journal its negative."""
    document = reversal_journal(original, request)
    if isinstance(document, Failure) or original is None or original.kind == "journal":
        return document
    if original.kind != "invoice":
        words = f"Document {original.number} settles invoices: take it off them in the ledger first."
        return Failure("unsupported", words)
    lines = tuple(
        replace(line, role=held.role, item=held.item)
        for line, held in zip(reversed_lines(original.lines), original.lines, strict=True)
    )
    customer, number = original.customer_id or "", original.reference or ""
    credit = replace(document, kind="credit_note", customer=Customer(customer, customer), reference=number, lines=lines)
    owed = receivable_lines(credit)
    settled = tuple(Application(number, -sum(x.amount_tc for x in owed), x.currency) for x in owed[:1])
    return replace(credit, applies_to=settled)
