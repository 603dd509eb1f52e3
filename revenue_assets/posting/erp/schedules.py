"""The ERP port's second half: revenue schedules, for an ERP that recognises over time by itself.

A schedule is the recognition of one document line or contract line: how much of it becomes revenue on which day. We
compute it and say what it is now; the ERP books it. An ERP whose `capabilities.revenue_schedules` is true has the
methods of `SchedulePort`; the duties of an adapter, which the conformance suite checks:

1. A put is the whole schedule under its lasting key, and is idempotent by key, version and content. The same again
   changes nothing; the same version with other content is a `conflict`.
2. An older version never overwrites a newer one: `conflict`.
3. What the ERP has recognised is never silently changed. A put that says something else about a recognised part is
   refused whole, `recognised_already`; one that changes an open part in a period that the ERP has closed is
   `period_closed`. Whatever is accepted changes open parts alone.
4. `put_schedules` does not raise for what the ERP does: each schedule gets its outcome, and one that is refused harms
   no other. `schedules` raises ErpError when there is no answer.
5. Amounts are whole minor units here; the adapter turns them into what the ERP takes and back, exactly.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from revenue_assets.posting.erp.port import ErpPort, Failure


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """What becomes revenue on one day for one service period (`YYYY-MM`; an earlier one in a catch-up).

    Minor units, `_tc` of the schedule's currency, `_fc` of the company's. `amount` leaves the balance account;
    `discount` is shown against revenue, so that revenue is amount plus discount. Negative parts take back.
    """

    recognised_on: dt.date
    service_period: str
    amount_tc: int
    amount_fc: int
    discount_tc: int = 0
    discount_fc: int = 0


@dataclass(frozen=True, slots=True)
class RevenueSchedule:
    """One version of one schedule; no parts: there is nothing left to recognise, and nothing was.

    `key` is ours and lasts as long as the line does; `version` grows by one with each change. `reference` is the
    document's number as people know it; `line` is the line's id. Accounts are the ERP's codes; `discount_account` is
    there if a part has a discount.
    """

    key: str
    version: int
    company: str
    reference: str
    line: str
    customer_id: str | None
    item: str | None
    currency: str
    functional_currency: str
    balance_account: str
    revenue_account: str
    discount_account: str | None
    parts: tuple[SchedulePart, ...]

    @property
    def total_tc(self) -> int:
        """What leaves the balance account over the whole schedule."""
        return sum(part.amount_tc for part in self.parts)

    @property
    def window(self) -> tuple[dt.date, dt.date] | None:
        """First and last day of recognition; None without parts."""
        days = [part.recognised_on for part in self.parts]
        return (min(days), max(days)) if days else None


@dataclass(frozen=True, slots=True)
class HeldSchedule:
    """A schedule as the ERP holds it now. `recognised`: the parts that its ledger has, by (day, service period).
    `defects`: what cannot be read as a schedule, such as an amount with too many digits; evidence of an alteration."""

    schedule_id: str
    schedule: RevenueSchedule
    recognised: frozenset[tuple[dt.date, str]] = frozenset()
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleOutcome:
    """What became of one put. `schedule_id`: the ERP's own id, where it took it (now or before)."""

    key: str
    schedule_id: str | None = None
    failure: Failure | None = None


@runtime_checkable
class SchedulePort(ErpPort, Protocol):
    """An ERP that runs revenue schedules."""

    def put_schedules(self, schedules: Sequence[RevenueSchedule]) -> tuple[ScheduleOutcome, ...]:
        """Makes each schedule what it is now; outcomes in the order of the schedules. All are of one company."""
        ...

    def schedules(self, company: str, keys: Sequence[str]) -> dict[str, HeldSchedule]:
        """Schedules by our key, read anew each time; what the ERP does not have is missing from the answer."""
        ...


def differences(wanted: RevenueSchedule, held: HeldSchedule) -> list[str]:
    """What the ERP's schedule says otherwise, in words, part by part; empty if it is ours."""
    found, other = list(held.defects), held.schedule
    for name in RevenueSchedule.__dataclass_fields__:
        mine, theirs = getattr(wanted, name), getattr(other, name)
        if name != "parts" and mine != theirs:
            found.append(f"{name}: ours {mine!r}, the ERP's {theirs!r}")
    ours = {(part.recognised_on, part.service_period): part for part in wanted.parts}
    there: dict[tuple[dt.date, str], SchedulePart] = {}
    for part in other.parts:
        place = (part.recognised_on, part.service_period)
        if place in there:
            found.append(f"part {place[0]} for {place[1]} is there twice")
        there[place] = part
    for place in sorted(ours.keys() | there.keys()):
        a, b = ours.get(place), there.get(place)
        if a != b:
            found.append(f"part {place[0]} for {place[1]}: ours {_words(a)}, the ERP's {_words(b)}")
    return found


def refusal(wanted: RevenueSchedule, held: HeldSchedule) -> Failure | None:
    """Why an adapter must not put this version over what the ERP holds; None if it may. Duties 1 to 3, for an ERP that
    does not see to them by itself."""
    theirs = held.schedule.version
    if theirs > wanted.version:
        return Failure("conflict", f"The ERP holds version {theirs} of this schedule; {wanted.version} is older.")
    if theirs == wanted.version and (found := differences(wanted, held)):
        return Failure("conflict", f"The ERP holds version {theirs} of this schedule with other content: {found[0]}.")
    ours = {(part.recognised_on, part.service_period): part for part in wanted.parts}
    for part in held.schedule.parts:
        place = (part.recognised_on, part.service_period)
        if place in held.recognised and ours.get(place) != part:
            words = f"The ERP has recognised {_words(part)} on {place[0]} for {place[1]}; this version says"
            return Failure("recognised_already", f"{words} {_words(ours.get(place))}.")
    return None


def _words(part: SchedulePart | None) -> str:
    if part is None:
        return "none"
    discount = f" and discount {part.discount_tc} ({part.discount_fc})" if part.discount_tc or part.discount_fc else ""
    return f"{part.amount_tc} ({part.amount_fc} in functional currency){discount}"
