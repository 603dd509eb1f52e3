"""The plain records the generator passes around before they become vendors' objects. Times are unix seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from demo.world.calendar import ENTITIES


@dataclass(frozen=True)
class Customer:
    """A customer of the group; it may buy from several legal entities."""

    index: int
    account_id: str
    name: str
    entity: str
    currency: str
    country: str
    state: str | None
    city: str
    postal_code: str
    email: str

    @property
    def key(self) -> str:
        """Natural key of everything that belongs to the customer."""
        return f"c{self.index}"


@dataclass(frozen=True)
class PlanItem:
    """A recurring item as sold: product code and quantity."""

    code: str
    quantity: int


@dataclass
class Phase:
    """One uninterrupted span of a deal on unchanged items; each phase is caused by one closed-won opportunity."""

    start: date
    end: date
    items: tuple[PlanItem, ...]
    kind: str  # new | renewal | upgrade | downgrade | quantity | co_term | backdated | cancel
    closed: date  # day the opportunity was won and the change booked
    contract_start: date
    contract_end: date
    opportunity_id: str = ""


@dataclass
class Deal:
    """One subscription's whole commercial life, and how its customer behaves."""

    key: str
    customer: Customer
    sold_by: str
    billed_by: str
    currency: str
    interval: str  # month | year
    start: date
    anchor: date
    discount_bp: int
    phases: list[Phase]
    ended: date | None = None
    onboarding: bool = False
    coupon_bp: int = 0
    usage: bool = False
    usage_scale: float = 1.0
    collection: str = "charge_automatically"
    days_until_due: int = 0
    wrong_price_bp: int = 0
    early_cancel: bool = False
    at_midnight: bool = False
    consolidated_from: date | None = None
    consolidation_key: str = ""

    @property
    def customer_key(self) -> tuple[str, str]:
        """The processor customer: one per (account, customer)."""
        return self.billed_by, self.customer.key

    def phase_at(self, day: date) -> Phase:
        """The phase in force on a day of the deal's life."""
        for phase in reversed(self.phases):
            if phase.start <= day:
                return phase
        return self.phases[0]


@dataclass
class Line:
    """One invoice line before tax. `amount` is before the discount; the window is null for one-time lines."""

    code: str
    price_id: str
    unit_amount: int | None
    quantity: int
    amount: int
    start: date | None
    end: date | None
    kind: str  # recurring | proration | usage | one_time
    discount: int = 0
    credits: Line | None = None
    credited_later: bool = False  # a proration or cancellation will take back its unused rest
    id: str = ""
    invoice: Invoice | None = None
    taxes: list[tuple[str, int]] = field(default_factory=list)  # (tax rate key, amount)

    @property
    def net(self) -> int:
        """What is charged for the line, excluding tax."""
        return self.amount - self.discount

    @property
    def tax(self) -> int:
        """Tax of the line over all its rates."""
        return sum(amount for _, amount in self.taxes)


@dataclass
class Invoice:
    """One invoice, from draft to its last state."""

    key: str
    deal: Deal
    subscription_key: str | None  # None for a manual invoice
    day: date
    created: int
    reason: str
    lines: list[Line]
    opportunity_id: str
    proration_date: date | None = None
    sure_payment: bool = False  # paid on the spot, nothing else happens to it
    left_open: bool = False  # nobody pays it within the horizon
    pay_not_before: date | None = None
    tax_hidden: bool = False  # the tax engine has the tax, the invoice does not show it
    tax_date: date | None = None  # set when the tax engine dates its document otherwise
    voided_on: date | None = None
    id: str = ""
    number: str = ""
    status: str = "open"
    total: int = 0
    starting_balance: int = 0
    ending_balance: int = 0
    amount_paid: int = 0
    pre_payment_notes: int = 0
    post_payment_notes: int = 0
    attempts: int = 0
    next_attempt: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    uncollectible_at: int | None = None
    charges: list[str] = field(default_factory=list)
    noted: bool = False
    disputed: bool = False
    refunded: bool = False

    @property
    def entity(self) -> str:
        """The legal entity in whose account the invoice was made."""
        return self.deal.billed_by

    @property
    def currency(self) -> str:
        """Document currency, upper case."""
        return self.deal.currency

    @property
    def balance_applied(self) -> int:
        """Stored credit used (positive) or created (negative, on an invoice below zero)."""
        return self.ending_balance - self.starting_balance

    @property
    def amount_due(self) -> int:
        """What the customer still had to pay when nothing was paid yet."""
        return self.total - self.balance_applied - self.pre_payment_notes

    @property
    def amount_remaining(self) -> int:
        """What is left to pay."""
        return self.amount_due - self.amount_paid

    @property
    def settlement_currency(self) -> str:
        """Currency in which the processor settles for this account."""
        return ENTITIES[self.entity].currency


@dataclass(frozen=True)
class CreditPlan:
    """A mid-term cancellation: the unused rest of each line, to be credited on the day of the change."""

    deal: Deal
    day: date
    lines: tuple[tuple[Line, int], ...]
