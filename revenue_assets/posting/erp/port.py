"""The ERP port: everything the outbox worker needs, and nothing of any vendor.

A document is a journal, or what a receivables ledger knows: an invoice, a credit note, a cash application. Whatever its
kind, its lines are the double entry that must stand in the ledger afterwards; kind, customer, items and applications
say which of the ERP's own documents brings them there, and whose open items they open and settle.

An adapter hides signs, batch codes, SOAP, CSV, jobs and drafts. Its duties, which the conformance suite checks:

1. `submit` looks before it creates: a key that is in the ERP is completed or reported, never made a second time.
   (This does not replace the worker's own duty: intent committed before the call, settle and look up after an
   unknown outcome. A look-up that comes too early sees nothing.)
2. `submit`, `poll` and `reverse` do not raise for what the ERP does: each document gets its own Outcome. Reads raise
   ErpError. Both carry one of the closed failure classes of `domain.failures`.
3. A document the ERP refuses harms no other document of the call.
4. Amounts are whole minor units here; the adapter turns them into what the ERP takes and back, exactly.
5. A kind outside `capabilities.kinds` is refused as `invalid`; it never arrives as another kind.
6. `ensure` finds a master by our code before it makes one: called again, it changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from revenue_assets.domain.failures import CLASSES

DocumentState = Literal["accepted", "created", "posted"]
"""How far the ERP has it: taken into a queue; stored but not in the ledger; in the ledger."""
DocumentKind = Literal["journal", "invoice", "credit_note", "cash_application"]
MasterKind = Literal["customer", "item"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an ERP can do, so that the worker can do the rest.

    mode: `sync` an answer of `submit` is final; `async` it may be `accepted` with a job id that `poll` follows.
    key_length_max: characters of a key the ERP carries and finds exactly. A longer key is shortened by `short_key`.
    key_unique: the ERP itself refuses a second document with the same key.
    atomic_unit: what succeeds or fails as a whole: the whole `submit` call, one `document`, or one `line`.
    batch_size_max: documents in one request; `submit` takes any number and cuts them up.
    writer_scope: one writer at a time per `company`, per `tenant` (the whole ERP), or `none` needed.
    posts_itself: created documents are posted by the ERP or a person; `submit` cannot bring them further.
    settle_seconds: after an unknown outcome, how long until a look-up is final (longest request in flight + index lag).
    kinds: document kinds that `submit` takes.
    masters: kinds of masters that `ensure` makes; of other kinds it says what is missing.
    revenue_schedules: it recognises over time by itself and is told what to (`schedules.SchedulePort`).
    """

    vendor: str
    mode: Literal["sync", "async"]
    key_length_max: int
    key_unique: bool
    atomic_unit: Literal["call", "document", "line"]
    batch_size_max: int
    writer_scope: Literal["company", "tenant", "none"]
    posts_itself: bool
    settle_seconds: float
    kinds: frozenset[DocumentKind] = frozenset({"journal"})
    masters: frozenset[MasterKind] = frozenset()
    revenue_schedules: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not happen. `failure_class` is a name of `domain.failures.CLASSES`; `message` is a sentence
    for a person; `evidence` is the ERP's own words, which may be localised and are never parsed for decisions."""

    failure_class: str
    message: str
    evidence: str = ""
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if self.failure_class not in CLASSES:
            raise ValueError(f"{self.failure_class!r} is not a failure class")

    @property
    def retry(self) -> bool:
        """True for auth, throttled, unavailable and uncertain alone."""
        return CLASSES[self.failure_class].retry

    @property
    def look_up_first(self) -> bool:
        """True when the ERP may hold the document all the same."""
        return CLASSES[self.failure_class].look_up_first


class ErpError(Exception):
    """A read that gave no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.failure_class}: {failure.message}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document. `debit` and `credit`: functional currency, minor units, not negative, at most one of
    them not zero. `amount_tc`: minor units of `currency`, debit positive; 0 for a line that moves functional
    currency alone (exchange differences). `role`: account role, as `accounts_receivable`; `item`: our code of what was
    sold, on the lines of an invoice or credit note that sell something."""

    line_no: int
    account_code: str
    debit: int
    credit: int
    currency: str
    amount_tc: int
    text: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who owes. `id` is ours, the same in every ERP company."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Application:
    """What a document settles of another: `reference` is the number of an invoice or credit note, `amount_tc` positive
    minor units of `currency`."""

    reference: str
    amount_tc: int
    currency: str


@dataclass(frozen=True, slots=True)
class Journal:
    """One document to post. `company` is the ERP's own name of the company; `period` is `YYYY-MM` of the posting;
    `reverses` is the ERP id of the document that this one takes back.

    The rest belongs to kinds other than `journal`: `customer`; `reference`, the billing platform's number of the
    invoice or credit note; `due_date`; `applies_to`, what a credit note or a payment settles.
    """

    key: str
    company: str
    accounting_date: dt.date
    period: str
    functional_currency: str
    lines: tuple[Line, ...]
    text: str = ""
    reverses: str | None = None
    kind: DocumentKind = "journal"
    customer: Customer | None = None
    reference: str | None = None
    due_date: dt.date | None = None
    applies_to: tuple[Application, ...] = ()


@dataclass(frozen=True, slots=True)
class Reversal:
    """Take back a posted document by its exact negative, under a key of its own."""

    key: str
    company: str
    document_id: str
    accounting_date: dt.date
    period: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A document of the ERP that carries a key."""

    key: str
    document_id: str
    number: str | None
    state: DocumentState


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document. `state` is the furthest that is known (None: nothing is in the ERP as far as we
    know); `failure` says why it did not get further. `already_there`: this call found it and did not make it."""

    key: str
    state: DocumentState | None = None
    document_id: str | None = None
    number: str | None = None
    job_id: str | None = None
    already_there: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class PostedDocument:
    """A document as the ERP holds it. `period` is the ERP's name of it. `defects`: what is wrong with the document in
    itself: an amount with more digits than its currency, a date outside its period. `customer_id` is our code of the
    customer; `applies_to` what it settles now."""

    key: str
    document_id: str
    number: str | None
    state: DocumentState
    company: str
    accounting_date: dt.date
    period: str
    functional_currency: str
    lines: tuple[Line, ...]
    defects: tuple[str, ...] = ()
    kind: DocumentKind = "journal"
    customer_id: str | None = None
    reference: str | None = None
    due_date: dt.date | None = None
    applies_to: tuple[Application, ...] = ()


@dataclass(frozen=True, slots=True)
class ErpPeriod:
    """An accounting period of the ERP. `end_date` is its last day. Only `open` takes postings."""

    company: str
    name: str
    start_date: dt.date
    end_date: dt.date
    state: Literal["open", "closed"]


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Movement of one account in one period, posted documents only; functional currency, minor units."""

    company: str
    period: str
    account_code: str
    currency: str
    debit: int
    credit: int

    @property
    def balance(self) -> int:
        """Debit minus credit."""
        return self.debit - self.credit


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A master record that postings need. `kind`: company, account, currency, journal, customer, item; more where an
    ERP has them."""

    kind: str
    company: str
    code: str


@dataclass(frozen=True, slots=True)
class Master:
    """A customer or item that documents bring along. `code` is ours; `account_code` is the customer's receivable
    account or the account that the item is sold on."""

    kind: MasterKind
    company: str
    code: str
    name: str
    account_code: str

    @property
    def key(self) -> MasterKey:
        """How `resolve` asks for it."""
        return MasterKey(self.kind, self.company, self.code)


@runtime_checkable
class ErpPort(Protocol):
    """An ERP. Instances are used by one thread at a time."""

    @property
    def capabilities(self) -> Capabilities: ...

    def resolve(self, wanted: Sequence[MasterKey]) -> dict[MasterKey, str]:
        """The ERP's ids of the masters that exist; what is missing from the answer is missing from the ERP."""
        ...

    def ensure(self, masters: Sequence[Master]) -> dict[MasterKey, Failure]:
        """Makes customers and items that the ERP lacks; the answer is what could not be made. A master that is there is
        left as it is: its name and accounts are the ERP's own."""
        ...

    def periods(self, company: str) -> tuple[ErpPeriod, ...]:
        """All accounting periods of the company, by start date."""
        ...

    def preflight(self, documents: Sequence[Journal]) -> dict[str, Failure]:
        """What would be refused, by key: unbalanced, unmapped, closed period. Sends nothing that changes the ERP."""
        ...

    def find(self, company: str, keys: Sequence[str]) -> dict[str, tuple[Found, ...]]:
        """Documents that carry the keys; several under one key mean somebody copied ours."""
        ...

    def submit(self, documents: Sequence[Journal]) -> tuple[Outcome, ...]:
        """Brings each document as far as the ERP lets us; outcomes in the order of the documents."""
        ...

    def poll(self, company: str, job_ids: Mapping[str, str]) -> tuple[Outcome, ...]:
        """What became of accepted documents, by key -> job id. A synchronous ERP has none."""
        ...

    def lines(self, company: str, document_ids: Sequence[str]) -> dict[str, PostedDocument]:
        """The documents as the ERP holds them now, by id; read anew each time."""
        ...

    def balances(self, company: str, period: str) -> tuple[AccountBalance, ...]:
        """Every account that moved in the period, by account code."""
        ...

    def reverse(self, request: Reversal) -> Outcome:
        """Posts the exact negative of a posted document and links it to the original."""
        ...
