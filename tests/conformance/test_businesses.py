"""Invariants of accounting over generated businesses (ACCOUNTING-style identities that no worked example can prove).

All businesses and all variants of them go into one build, each under a legal entity of its own. A failure prints the
seed, the number and the events of the business; with REVENUE_SHRINK=1 the events are reduced to those that matter.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import variants
import yaml
from businesses import END, History, hypothesised, walk
from compiled import PROJECT, Compiled

from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.load import write_empty_sources, write_landing, write_state

IS_FULL = os.environ.get("REVENUE_TRIALS") == "full"
SEEDS = range(1, 9) if IS_FULL else (1,)
PER_SEED = 60 if IS_FULL else 24
FACTOR = 7
YEARS = 4
# Roles whose amounts the events state; no rounding decides them.
STATED = {"accounts_receivable", "cash", "external_asset", "processor_clearing", "unapplied_cash"}


@dataclass(frozen=True)
class World:
    """All histories of some seeds and the build of them and their variants."""

    histories: list[History]
    work_dir: Path
    warehouse: Path
    closes: dict[str, str]

    def code(self, history: History, variant: str = "") -> str:
        return f"g{history.seed}x{history.number:03}{variant}"


def cases_of(world: list[History]) -> tuple[list[Case], dict[str, str]]:
    """Every business and its variants as cases; and the closed month of those told up to a close."""
    cases, closes = [], {}
    for history in world:
        code = f"g{history.seed}x{history.number:03}"
        cases.append(history.case(code))
        cases.append(history.case(code + "scaled", variants.scaled(history, FACTOR)))
        cases.append(history.case(code + "shifted", variants.shifted(history, YEARS)))
        cases.append(history.case(code + "lines", variants.lines_split(history)))
        cases.append(history.case(code + "credits", variants.credits_split(history)))
        if told := variants.known_at_last_close(history):
            cases.append(history.case(code + "known", told[0]))
            closes[code] = told[1]
    return cases, closes


def build_of(compiled: Compiled, cases: list[Case], work_dir: Path) -> Path:
    write_empty_sources(PROJECT, work_dir / "landing", work_dir / "journal")
    write_landing(cases, work_dir / "landing")
    write_state(cases, work_dir / "state")
    return compiled.build(work_dir, END)


@pytest.fixture(scope="session")
def world(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> World:
    histories = [walk(seed, number) for seed in SEEDS for number in range(PER_SEED)]
    histories += [history for seed in SEEDS for history in hypothesised(seed, PER_SEED // 6)] if IS_FULL else []
    cases, closes = cases_of(histories)
    work_dir = tmp_path_factory.mktemp("businesses")
    return World(histories, work_dir, build_of(compiled, cases, work_dir), closes)


def told(history: History, why: str, still_fails: Callable[[History], bool] | None = None) -> str:
    """A failure that can be repeated: the seed, the number and the events."""
    if still_fails and os.environ.get("REVENUE_SHRINK"):
        history = shrunk(history, still_fails)
    head = f"{why}\nseed {history.seed}, business {history.number}, {history.currency}, policy {history.policy}\n"
    return head + yaml.safe_dump(history.events, sort_keys=False, width=200, default_flow_style=None)


def shrunk(history: History, still_fails: Callable[[History], bool]) -> History:
    """Fewer events that still fail: leaves out ever smaller runs of them. Every trial is a build."""
    events, size = list(history.events), len(history.events) // 2
    while size:
        start = 0
        while start < len(events):
            fewer = events[:start] + events[start + size :]
            trial = History(history.seed, history.number, history.currency, history.policy, fewer)
            if fewer and still_fails(trial):
                events = fewer
            else:
                start += size
        size //= 2
    return History(history.seed, history.number, history.currency, history.policy, events)


def figures(world: World, sql: str) -> dict[str, list[tuple]]:
    """Rows of a query by the entity in its first column."""
    found: dict[str, list[tuple]] = defaultdict(list)
    with duckdb.connect(str(world.warehouse), read_only=True) as connection:
        for entity, *row in connection.execute(sql).fetchall():
            found[entity].append(tuple(row))
    return found


def test_businesses_do_what_the_invariants_are_about(world: World) -> None:
    kinds = Counter(event["type"] for history in world.histories for event in history.events)
    assert len(world.histories) >= PER_SEED
    for kind in (
        "invoice.posted", "payment.settled", "credit_note.issued", "credit_note.voided", "refund.issued",
        "refund.failed", "dispute.funds_withdrawn", "dispute.closed", "invoice.voided",
        "invoice.uncollectible", "tax.recalculated",
        "contract.booked", "amendment.booked", "performance.recorded", "usage.rated", "period.reopened",
        "period.hard_closed",
    ):  # fmt: skip
        assert kinds[kind] >= 2, (kind, kinds)
    assert len(world.closes) >= 3, "too few businesses close a month for good"


def test_every_check_is_green(world: World, compiled: Compiled, tmp_path: Path) -> None:
    """Invariants 1-7, 16-18, 20, 22, 26, 27, 29 and 30, as SQL; and the keys of every table."""

    def red(history: History) -> dict[str, list[tuple]]:
        return compiled.findings(build_of(compiled, [history.case("s")], tmp_path), tmp_path, END)

    found = compiled.findings(world.warehouse, world.work_dir, END)
    for name, rows in found.items():
        text = str(rows)
        guilty = next((h for h in world.histories if f"'{world.code(h)}'" in text), None)
        if guilty:
            pytest.fail(told(guilty, f"{name}: {rows[:5]}", lambda h, name=name: name in red(h)))
    assert not found


def test_nothing_is_refused(world: World) -> None:
    """What the model says is legal posts; an event recorded before what it refers to has posted since."""
    with duckdb.connect(str(world.warehouse), read_only=True) as connection:
        assert connection.execute("select * from canonical.event_exceptions").fetchall() == []
        stuck = connection.execute(
            "select entity_id, class, subject, detail from subledger.posting_exceptions where not is_resolved"
        ).fetchall()
    closing = {world.code(h) for h in world.histories if any(e["type"].startswith("period.") for e in h.events)}
    # A month closed in between may bring a credit note before the invoice that was recorded later.
    assert [row for row in stuck if not row[0].startswith(tuple(closing))] == []


LINES = """
select entity_id, accounting_date, service_period, prior_period, event_type, document_type, document_id,
    document_line_id, account_role, currency, amount_tc, amount_fc
from subledger.journal_lines
"""


def test_a_shift_by_whole_years_shifts_results_only(world: World) -> None:
    """Invariant 15."""
    lines = figures(
        world,
        LINES.replace("entity_id, accounting_date, service_period", f"""entity_id,
            case when entity_id like '%shifted' then accounting_date - interval {YEARS} year else accounting_date end,
            case when entity_id like '%shifted'
                then cast(cast(substring(service_period, 1, 4) as int) - {YEARS} as varchar)
                    || substring(service_period, 5) else service_period end""").replace(
            "document_id,", f"""case when document_type = 'revaluation' and entity_id like '%shifted'
                then cast(cast(substring(document_id, 1, 4) as int) - {YEARS} as varchar) || substring(document_id, 5)
                else document_id end,""", 1),
    )  # fmt: skip
    for history in world.histories:
        base, other = Counter(lines[world.code(history)]), Counter(lines[world.code(history, "shifted")])
        assert base == other, told(history, f"only base {base - other}; only shifted {other - base}")


def test_scaling_scales_within_minor_units(world: World) -> None:
    """Invariant 19: figures by document, role and month; each rounding moves at most one unit, times the factor."""
    sums = figures(
        world,
        """select entity_id, document_id, account_role, currency, period, sum(amount_tc)::bigint,
                  sum(amount_fc)::bigint, count(*)
           from subledger.journal_lines where account_role not in ('fx_gain', 'fx_loss') group by all""",
    )
    for history in world.histories:
        base, other = sums[world.code(history)], {row[:4]: row[4:] for row in sums[world.code(history, "scaled")]}
        count: Counter[str] = Counter()
        for row in base:
            count[row[0]] += row[-1]
        for document, role, currency, period, tc, fc, _ in base:
            other_tc, other_fc, _ = other.pop((document, role, currency, period), (0, 0, 0))
            bound = (FACTOR + 1) * (count[document] + 2)
            assert abs(other_tc - FACTOR * tc) <= bound, told(history, f"{document} {role} {period} {tc} {other_tc}")
            assert abs(other_fc - FACTOR * fc) <= bound, told(history, f"{document} {role} {period} {fc} {other_fc}")
        for key, (tc, fc, _) in other.items():
            assert max(abs(tc), abs(fc)) <= (FACTOR + 1) * (count[key[0]] + 2), told(history, f"{key} {tc} {fc}")
    money = figures(
        world,
        f"""select entity_id, account_role, currency, sum(amount_tc)::bigint from subledger.journal_lines
            where account_role in ('{"', '".join(sorted(STATED))}') group by all having sum(amount_tc) <> 0""",
    )
    for history in world.histories:
        base_money = sorted((role, currency, FACTOR * amount) for role, currency, amount in money[world.code(history)])
        assert base_money == sorted(money[world.code(history, "scaled")]), told(history, "money is exact")


@pytest.mark.parametrize("variant", ["lines", "credits"])
def test_splitting_changes_no_total(world: World, variant: str) -> None:
    """Invariant 13: receivable and money exactly; income after contra, and tax, but for one unit per reduction."""
    sums = figures(
        world,
        """select entity_id,
                  case when account_role in (
                           'accounts_receivable', 'cash', 'external_asset', 'processor_clearing', 'unapplied_cash',
                           'tax_liability', 'fees', 'dispute_fees') then account_role
                       else 'income and deferred' end as side,
                  currency, sum(amount_tc)::bigint
           from subledger.journal_lines group by all having sum(amount_tc) <> 0""",
    )
    reducing = ("refund.", "dispute.", "invoice.uncollectible", "invoice.voided")
    compared = 0
    for history in world.histories:
        reductions = sum(event["type"].startswith(reducing) for event in history.events)
        base = {row[:2]: row[2] for row in sums[world.code(history)]}
        other = {row[:2]: row[2] for row in sums[world.code(history, variant)]}
        for key in base.keys() | other.keys():
            slack = 3 * reductions if key[0] in ("tax_liability", "income and deferred") else 0
            difference = abs(base.get(key, 0) - other.get(key, 0))
            assert difference <= slack, told(history, f"{variant} {key} {base.get(key)} {other.get(key)}")
        compared += not reductions
    assert compared >= 5, compared


def test_a_closed_month_stays_as_it_was_known_when_it_closed(world: World) -> None:
    """Invariants 10 and 11: what was recorded after the close is in later months only, and all of it is flagged."""
    lines = figures(world, LINES + " where event_type not like 'fx.%'")
    for history in world.histories:
        month = world.closes.get(world.code(history))
        if month is None:
            continue
        now, then = (
            Counter(row for row in lines[world.code(history, name)] if f"{row[0]:%Y-%m}" <= month)
            for name in ("", "known")
        )
        assert now == then, told(history, f"{month}: only now {now - then}; only then {then - now}")
