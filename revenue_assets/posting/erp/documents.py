"""What is true of documents in every ERP: is one fit to send, does one read back equal what was sent. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from revenue_assets.posting.erp.port import (
    Application,
    Capabilities,
    Failure,
    Found,
    Journal,
    Line,
    Master,
    Outcome,
    PostedDocument,
    Reversal,
)

RECEIVABLE = "accounts_receivable"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was sent. `line_no` is of the sent line, None for the whole document."""

    field: str
    line_no: int | None
    expected: str
    actual: str

    def __str__(self) -> str:
        where = "" if self.line_no is None else f" of line {self.line_no}"
        return f"{self.field}{where}: sent {self.expected}, the ERP has {self.actual}"


def short_key(key: str, length_max: int) -> str:
    """The key as an ERP with `length_max` characters carries it: itself if it fits, else base32 of its sha256."""
    if len(key) <= length_max:
        return key
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    return digest[:length_max]


def unfit(document: Journal, capabilities: Capabilities) -> Failure | None:
    """Why no ERP should get this document; None if it is sound."""
    problem = _problem(document, capabilities)
    return None if problem is None else Failure("invalid", f"Document {document.key} was not sent: {problem}.")


def _problem(document: Journal, capabilities: Capabilities) -> str | None:
    if document.kind not in capabilities.kinds:
        return f"this ERP takes no {document.kind}"
    if not document.key or document.key != document.key.strip() or len(document.key) > capabilities.key_length_max:
        return f"its key must have 1 to {capabilities.key_length_max} characters and no blank at an end"
    if not document.lines:
        return "it has no lines"
    for line in document.lines:
        if line.debit < 0 or line.credit < 0 or (line.debit and line.credit):
            return f"line {line.line_no} is not on one side"
        if line.currency == document.functional_currency and line.amount_tc not in (0, line.debit - line.credit):
            return f"line {line.line_no} has two amounts in {line.currency}"
    debit, credit = sum(x.debit for x in document.lines), sum(x.credit for x in document.lines)
    if debit != credit:
        return f"debits of {debit} and credits of {credit} minor units do not balance"
    return None if document.kind == "journal" else _problem_of_detail(document)


def _problem_of_detail(document: Journal) -> str | None:
    """An invoice opens a receivable of one customer; a credit note or payment lowers it, by no less than it settles."""
    if document.customer is None or not document.customer.id.strip() or not document.customer.name.strip():
        return "it names no customer"
    if document.kind != "cash_application" and not (document.reference or "").strip():
        return "it has no number"
    receivables = receivable_lines(document)
    if len({(x.account_code, x.currency) for x in receivables}) != 1:
        return "its receivable must stand on one account in one currency"
    opened, currency = sum(x.amount_tc for x in receivables), receivables[0].currency
    if opened == 0 or (opened > 0) is not (document.kind == "invoice"):
        return f"a receivable of {opened} minor units {currency} does not fit its kind"
    if document.kind == "invoice" and document.applies_to:
        return "an invoice settles nothing"
    for part in document.applies_to:
        if part.amount_tc <= 0 or part.currency != currency:
            return f"it settles {part.amount_tc} minor units {part.currency} of {part.reference}"
    if len({part.reference for part in document.applies_to}) != len(document.applies_to):
        return "it settles one document twice"
    settled = sum(part.amount_tc for part in document.applies_to)
    if settled > -opened and document.kind != "invoice":
        return f"it settles {settled} minor units {currency} with {-opened}"
    return None


def receivable_lines(document: Journal) -> tuple[Line, ...]:
    """The lines that open or lower what the customer owes."""
    return tuple(x for x in document.lines if x.role == RECEIVABLE)


def masters_of(document: Journal) -> tuple[Master, ...]:
    """The customer and the items that the ERP must know before it can take the document."""
    if document.kind == "journal" or document.customer is None:
        return ()
    accounts = [x.account_code for x in receivable_lines(document)]
    found = [
        Master("customer", document.company, document.customer.id, document.customer.name, code)
        for code in accounts[:1]
    ]
    items = {x.item: x.account_code for x in document.lines if x.item is not None}
    found += [Master("item", document.company, item, item, code) for item, code in items.items()]
    return tuple(found)


def reversed_lines(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The exact negative: sides swapped, transaction amounts negated, order kept."""
    return tuple(
        Line(x.line_no, x.account_code, x.credit, x.debit, x.currency, -x.amount_tc, x.text, x.dimensions)
        for x in lines
    )


def reversal_journal(original: PostedDocument | None, request: Reversal) -> Journal | Failure:
    """The journal that takes a posted document back exactly, or why there is none."""
    if original is None:
        return Failure("invalid", f"{request.company} has no document {request.document_id} to reverse.")
    if original.state != "posted":
        return Failure("invalid", f"Document {request.document_id} is not posted, so there is nothing to reverse.")
    if original.defects:
        words = f"Document {original.number} cannot be reversed exactly: {'; '.join(original.defects)}."
        return Failure("invalid", words)
    return Journal(
        request.key, request.company, request.accounting_date, request.period, original.functional_currency,
        reversed_lines(original.lines), request.text, reverses=request.document_id,
    )  # fmt: skip


def held_outcome(document: Journal, hits: tuple[Found, ...], held: Mapping[str, PostedDocument]) -> Outcome:
    """What it means that the ERP has the key already: as the ERP holds it if the content is ours, else a conflict.

    `held`: the documents by id; one that is missing, or a draft whose lines the ERP does not show, is not compared
    here: the read-back will be.
    """
    if len(hits) > 1:
        numbers = ", ".join(hit.number or f"draft {hit.document_id}" for hit in hits)
        words = f"Key {document.key} is in the ERP {len(hits)} times: {numbers}."
        return Outcome(document.key, failure=Failure("conflict", words))
    (hit,) = hits
    actual = held.get(hit.document_id)
    differences = compare(document, actual) if actual and (actual.lines or actual.state == "posted") else []
    failure = None
    if differences:
        shown = "; ".join(str(difference) for difference in differences[:5])
        failure = Failure("conflict", f"Key {document.key} is in the ERP with other content: {shown}.")
    return Outcome(document.key, hit.state, hit.document_id, hit.number, already_there=True, failure=failure)


def compare(expected: Journal, actual: PostedDocument) -> list[Difference]:
    """Everything that differs: key, company, date, currency, total, each line's account, side and amounts; of a
    document that is no journal also its kind, customer, number, due date and what it settles.

    Lines are compared as a bag: an ERP may keep them in another order. A line without any amount may be missing on
    either side. Texts are not compared: ERPs cut them.
    """
    found = [Difference("document", None, "a sound document", defect) for defect in actual.defects]
    for name in ("key", "company", "accounting_date", "functional_currency"):
        sent, held = getattr(expected, name), getattr(actual, name)
        if sent != held:
            found.append(Difference(name, None, str(sent), str(held)))
    sent_total, held_total = sum(x.debit for x in expected.lines), sum(x.debit for x in actual.lines)
    if sent_total != held_total:
        found.append(Difference("total", None, str(sent_total), str(held_total)))
    if expected.kind != "journal" or actual.kind != "journal":
        found += _detail_differences(expected, actual)
    return found + _line_differences(expected, actual)


def as_json(document: PostedDocument) -> dict[str, Any]:
    """The document as it is kept as evidence: all that `compare` looks at, dates as they are, no texts of lines."""
    line = ("line_no", "account_code", "debit", "credit", "currency", "amount_tc")
    head = ("key", "document_id", "number", "state", "company", "accounting_date", "period", "functional_currency",
            "kind", "customer_id", "reference", "due_date")  # fmt: skip
    return {name: getattr(document, name) for name in head} | {
        "lines": [{name: getattr(one, name) for name in line} for one in document.lines],
        "applies_to": [
            {"reference": x.reference, "amount_tc": x.amount_tc, "currency": x.currency} for x in document.applies_to
        ],
        "defects": list(document.defects),
    }


def _detail_differences(expected: Journal, actual: PostedDocument) -> list[Difference]:
    pairs = [
        ("kind", expected.kind, actual.kind),
        ("customer", expected.customer.id if expected.customer else None, actual.customer_id),
        ("applications", _applied(expected.applies_to), _applied(actual.applies_to)),
    ]
    if expected.kind in ("invoice", "credit_note"):
        pairs.append(("reference", expected.reference, actual.reference))
    if expected.kind == "invoice" and expected.due_date is not None:
        pairs.append(("due_date", str(expected.due_date), str(actual.due_date)))
    return [Difference(name, None, str(sent), str(held)) for name, sent, held in pairs if sent != held]


def _applied(parts: tuple[Application, ...]) -> str:
    return ", ".join(sorted(f"{x.amount_tc} {x.currency} of {x.reference}" for x in parts)) or "nothing"


def _line_differences(expected: Journal, actual: PostedDocument) -> list[Difference]:
    functional = expected.functional_currency
    sent_lines, held_lines = expected.lines, actual.lines
    if expected.kind != "journal":
        owed_on = {x.account_code for x in receivable_lines(expected)}
        sent_lines, held_lines = _joined(sent_lines, owed_on), _joined(held_lines, owed_on)
    sent = Counter(content for x in sent_lines if (content := _content(x, functional)))
    held = Counter(content for x in held_lines if (content := _content(x, functional)))
    surplus = list((held - sent).elements())
    missing = list((sent - held).elements())
    found: list[Difference] = []
    for content in missing:
        number = next(x.line_no for x in sent_lines if _content(x, functional) == content)
        # The nearest surplus line names the change; without one the line is gone.
        near = max(surplus, key=lambda other: sum(a == b for a, b in zip(content, other, strict=True)), default=None)
        if near is None or sum(a == b for a, b in zip(content, near, strict=True)) < 2:
            found.append(Difference("line", number, _shown(content), "nothing"))
            continue
        surplus.remove(near)
        for name, a, b in zip(_FIELDS, content, near, strict=True):
            if a != b:
                found.append(Difference(name, number, str(a), str(b)))
    found += [Difference("line", None, "nothing", _shown(content)) for content in surplus]
    return found


def _joined(lines: tuple[Line, ...], accounts: set[str]) -> tuple[Line, ...]:
    """One line per currency on each of `accounts`: ERPs cut a receivable by due date or by what it settles."""
    rest = tuple(x for x in lines if x.account_code not in accounts)
    groups: dict[tuple[str, str], list[Line]] = {}
    for x in lines:
        if x.account_code in accounts:
            groups.setdefault((x.account_code, x.currency), []).append(x)
    joined = []
    for (account, currency), parts in groups.items():
        amount = sum(x.debit - x.credit for x in parts)
        amount_tc = sum(x.amount_tc for x in parts)
        joined.append(Line(parts[0].line_no, account, max(amount, 0), max(-amount, 0), currency, amount_tc))
    return (*rest, *joined)


_FIELDS = ("account", "debit", "credit", "currency", "amount_tc")
_Content = tuple[str, int, int, str, int]


def _content(line: Line, functional: str) -> _Content | None:
    """What must match. Without a transaction amount the line is in functional currency, whatever it says."""
    if not line.debit and not line.credit and not line.amount_tc:
        return None
    if line.amount_tc == 0 or line.currency == functional:
        return (line.account_code, line.debit, line.credit, functional, line.debit - line.credit)
    return (line.account_code, line.debit, line.credit, line.currency, line.amount_tc)


def _shown(content: _Content) -> str:
    account, debit, credit, currency, amount = content
    return f"{account} debit {debit} credit {credit} ({currency} {amount})"
