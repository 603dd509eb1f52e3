"""What an adapter owes whose ERP runs revenue schedules: the duties at the head of `erp.schedules`, tried from outside.

class TestMyLedger(ScheduleConformance):
    @pytest.fixture
    def schedules(self) -> ScheduleBench: ...
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from revenue_assets.domain.periods import shift
from revenue_assets.posting.erp.port import ErpError
from revenue_assets.posting.erp.schedules import (
    RevenueSchedule,
    ScheduleOutcome,
    SchedulePart,
    SchedulePort,
    differences,
)  # fmt: skip
from revenue_assets.testing.erp_bench import Fault, new_key

AMOUNTS = (8_493, 7_671, 8_494)
# A currency of other digits with a discount shown against revenue; parts that take back; beyond the digits of a float.
ODD_PARTS = {
    "JPY": (SchedulePart(dt.date(2026, 5, 31), "2026-05", 100, 95, 7, 6),),
    "USD": (
        SchedulePart(dt.date(2026, 5, 31), "2026-03", -250, -250),
        SchedulePart(dt.date(2026, 5, 31), "2026-05", 9_007_199_254_740_993, 9_007_199_254_740_993),
    ),
}


@dataclass(frozen=True)
class ScheduleBench:
    """An ERP company of 2026 whose ledger recognises by schedules, in US dollars.

    accounts: codes of balance, revenue and discount account. port: a new adapter. faulty: one whose first write is
    spoilt. recognise: books what is due up to a day. set_period: `YYYY-MM` to open or closed. alter: another amount in
    the last part of the schedule with this key, past the adapter. settle: what is under way ends.
    """

    company: str
    accounts: tuple[str, str, str]
    port: Callable[[], SchedulePort]
    faulty: Callable[[Fault], SchedulePort]
    recognise: Callable[[dt.date], None]
    set_period: Callable[[str, str], None]
    alter: Callable[[str], None]
    settle: Callable[[], None]

    def schedule(self, *amounts: int, **changes: object) -> RevenueSchedule:
        """A schedule of one part a month from March 2026 on."""
        parts = tuple(
            SchedulePart(dt.date.fromisoformat(f"{shift('2026-03', n)}-28"), shift("2026-03", n), amount, amount)
            for n, amount in enumerate(amounts or AMOUNTS)
        )
        balance, revenue, discount = self.accounts
        made = RevenueSchedule(
            new_key(), 1, self.company, "INV-7", "line-1", "cus_1", "platform", "USD", "USD", balance, revenue,
            discount if any(part.discount_tc for part in parts) else None, parts,
        )  # fmt: skip
        return replace(made, **changes)  # type: ignore[arg-type]


def put(port: SchedulePort, schedule: RevenueSchedule) -> ScheduleOutcome:
    (outcome,) = port.put_schedules([schedule])
    return outcome


def taken(port: SchedulePort, schedule: RevenueSchedule) -> None:
    outcome = put(port, schedule)
    assert outcome.failure is None, outcome.failure
    assert held(port, schedule) == []


def held(port: SchedulePort, schedule: RevenueSchedule) -> list[str]:
    """How the ERP's schedule differs from this one."""
    found = port.schedules(schedule.company, [schedule.key])
    return differences(schedule, found[schedule.key]) if schedule.key in found else ["it is not there"]


def refused(port: SchedulePort, schedule: RevenueSchedule) -> str:
    """The class of the refusal."""
    failure = put(port, schedule).failure
    assert failure is not None, "the ERP took it"
    assert failure.message.endswith(".") or failure.evidence, failure
    return failure.failure_class


def newer(schedule: RevenueSchedule, *amounts: int, **changes: object) -> RevenueSchedule:
    """The next version with these amounts, one a month as before."""
    by_month = zip(
        (shift("2026-03", n) for n in range(len(amounts))), amounts, strict=True
    )  # fmt: skip
    parts = tuple(SchedulePart(dt.date.fromisoformat(f"{m}-28"), m, amount, amount) for m, amount in by_month if amount)
    return replace(schedule, version=schedule.version + 1, parts=parts, **changes)  # type: ignore[arg-type]


class ScheduleConformance:
    """Overrides give the fixture `schedules`."""

    @pytest.fixture
    def schedules(self) -> ScheduleBench:
        raise NotImplementedError

    def test_the_port_says_that_it_takes_schedules(self, schedules: ScheduleBench) -> None:
        port = schedules.port()
        assert port.capabilities.revenue_schedules
        assert isinstance(port, SchedulePort)

    def test_a_put_again_changes_nothing(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        again = put(schedules.port(), one)
        assert again.failure is None
        assert again.schedule_id == schedules.port().schedules(one.company, [one.key])[one.key].schedule_id

    @pytest.mark.parametrize("currency", ODD_PARTS)
    def test_amounts_are_exact(self, schedules: ScheduleBench, currency: str) -> None:
        parts = ODD_PARTS[currency]
        discount = schedules.accounts[2] if currency == "JPY" else None
        taken(schedules.port(), schedules.schedule(currency=currency, parts=parts, discount_account=discount))

    def test_several_arrive_each_under_its_own_key(self, schedules: ScheduleBench) -> None:
        several = [schedules.schedule(n, 2 * n) for n in range(1, 6)]
        outcomes = schedules.port().put_schedules(several)
        assert [outcome.key for outcome in outcomes] == [one.key for one in several]
        assert all(held(schedules.port(), one) == [] for one in several)

    def test_a_newer_version_takes_the_place_of_an_older_one(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        taken(schedules.port(), newer(one, 8_493, 4_000))
        taken(schedules.port(), replace(newer(one), version=3, parts=()))

    def test_an_older_version_never_overwrites_a_newer_one(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        two = newer(one, 1, 2, 3)
        taken(schedules.port(), two)
        assert refused(schedules.port(), one) == "conflict"
        assert held(schedules.port(), two) == []

    def test_one_version_has_one_content(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        assert refused(schedules.port(), replace(newer(one, 1, 2, 3), version=1)) == "conflict"
        assert held(schedules.port(), one) == []

    def test_what_is_recognised_stays_and_the_rest_may_change(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        schedules.recognise(dt.date(2026, 3, 31))
        there = schedules.port().schedules(one.company, [one.key])[one.key]
        assert there.recognised == {(dt.date(2026, 3, 28), "2026-03")}
        assert refused(schedules.port(), newer(one, 8_000, 7_671, 8_494)) == "recognised_already"
        assert refused(schedules.port(), newer(one, 0, 7_671, 8_494)) == "recognised_already"
        assert held(schedules.port(), one) == [], "a refused version changed something"
        taken(schedules.port(), newer(one, 8_493, 100))

    def test_a_closed_period_takes_no_change(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        schedules.set_period("2026-04", "closed")
        assert refused(schedules.port(), newer(one, 8_493, 1, 8_494)) == "period_closed"
        taken(schedules.port(), newer(one, 8_493, 7_671, 5))
        schedules.set_period("2026-04", "open")

    def test_a_refused_schedule_harms_no_other(self, schedules: ScheduleBench) -> None:
        good, bad = schedules.schedule(), schedules.schedule(revenue_account="no such account")
        first, second = schedules.port().put_schedules([bad, good])
        assert first.failure is not None
        assert first.failure.failure_class == "mapping_missing"
        assert second.failure is None
        assert held(schedules.port(), good) == []
        assert held(schedules.port(), bad) == ["it is not there"]

    def test_an_altered_amount_is_seen(self, schedules: ScheduleBench) -> None:
        one = schedules.schedule()
        taken(schedules.port(), one)
        schedules.alter(one.key)
        assert any("part 2026-05-28" in words for words in held(schedules.port(), one))

    def test_unknown_keys_are_missing(self, schedules: ScheduleBench) -> None:
        assert schedules.port().schedules(schedules.company, [new_key()]) == {}

    @pytest.mark.parametrize(
        ("fault", "classes"),
        [
            ("auth", {"auth"}), ("throttled", {"throttled"}), ("unavailable", {"unavailable"}),
            ("server_error", {"uncertain"}), ("lost_request", {"uncertain"}), ("lost_answer", {"uncertain"}),
        ],
    )  # fmt: skip
    def test_a_fault_of_a_write_has_its_class(
        self, schedules: ScheduleBench, fault: Fault, classes: set[str]
    ) -> None:  # fmt: skip
        one = schedules.schedule()
        assert refused(schedules.faulty(fault), one) in classes
        schedules.settle()
        assert (held(schedules.port(), one) == []) == (fault == "lost_answer")

    def test_no_read_is_answered_by_silence(self, schedules: ScheduleBench) -> None:
        port = schedules.faulty("dead_reads")
        with pytest.raises(ErpError, match="unavailable"):
            port.schedules(schedules.company, [new_key()])
        assert refused(port, schedules.schedule()) == "unavailable"
