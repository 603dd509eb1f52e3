"""What must be true before a period locks. Each gate is a sentence with its numbers and who can turn it green."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import and_, func, or_, select

from revenue_assets.close.exceptions import has_tables, owners_of, rows
from revenue_assets.domain import periods as months
from revenue_assets.domain import posting_state
from revenue_assets.domain.calendars import MONTHS
from revenue_assets.posting import rejected, unposted
from revenue_assets.posting.booking_sql import is_left_to_erp
from revenue_assets.posting.settling import NOT_OURS
from revenue_assets.state import calendars
from revenue_assets.store import exceptions, periods, policies, schedule_outbox
from revenue_assets.store.engine import Store
from revenue_assets.store.outbox import LIVE
from revenue_assets.store.tables import exceptions as exception_table
from revenue_assets.store.tables import posting_batches


@dataclass(frozen=True)
class Gate:
    """One condition for one entity. `sentence` says what was found; `owner` is who acts on a red one."""

    name: str
    entity_id: str
    is_green: bool
    sentence: str
    owner: str = "Controller"


@dataclass(frozen=True)
class Books:
    """What the gates look at: the store, the warehouse's connection, the journal's files as SQL, the masters."""

    store: Store
    warehouse: duckdb.DuckDBPyConnection
    booked: str
    members: str
    state: Path
    as_of: dt.date


def evaluate(books: Books, entity_id: str, period: str) -> list[Gate]:
    """All gates of one entity and period; nothing is changed."""
    parts = (_calendar, _journal, _rules_on_file, _batches, _schedules, _reconciliations, _suspense, _exceptions)
    return [gate for part in parts for gate in part(books, entity_id, period)]


def _calendar(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    last = calendars(books.state).get(entity_id, MONTHS).last_day(period)
    over = last <= books.as_of
    yield Gate("period_is_over", entity_id, over, f"{period} ends on {last}; the cut-off is {books.as_of}.")
    with books.store.read() as connection:
        previous = periods.previous_status(connection, entity_id, period)
    before = months.shift(period, -1)
    sentence = "It is the first period." if previous is None else f"{before} is {previous.replace('_', ' ')}."
    yield Gate("previous_period_closed", entity_id, previous in (None, months.HARD_CLOSED), sentence)


def _journal(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    if not has_tables(books.warehouse, "subledger.journal_lines"):
        yield Gate("journal_is_booked", entity_id, False, "The subledger has not been built.", "Data platform")
        return
    left_to_erp = is_left_to_erp(str(books.state / "policy.parquet"))
    query = f"""
        with should as (
            select distinct entry_key, entry_hash from subledger.journal_lines
            where entity_id = $entity and period = $period and accounting_date <= $as_of and (amount_fc <> 0
                or amount_tc <> 0)
                and not ({left_to_erp})
        ),
        live as (
            select entry_key, entry_hash from {books.booked}
            where entity_id = $entity and period = $period and accounting_date <= $as_of and not ({left_to_erp})
            group by all having sum(sign) // count(distinct line_no) = 1
        )
        select
            (select count(*) from should anti join live using (entry_key, entry_hash)),
            (select count(*) from live anti join should using (entry_key, entry_hash))
    """
    parameters = {"entity": entity_id, "period": period, "as_of": books.as_of}
    unbooked, stale = books.warehouse.execute(query, parameters).fetchall()[0]
    sentence = f"{unbooked} entries are not booked, {stale} booked ones no longer exist in the subledger."
    yield Gate("journal_is_booked", entity_id, unbooked == stale == 0, sentence, "Data platform")


def _rules_on_file(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    """Every booked line and every batch names rules whose text can be produced."""
    query = f"select distinct policy_hash from {books.booked} where entity_id = ? and posting_period = ?"
    named = {row[0] for row in books.warehouse.execute(query, [entity_id, period]).fetchall()}
    mine = and_(posting_batches.c.entity_id == entity_id, posting_batches.c.period == period)
    with books.store.read() as connection:
        named |= set(connection.scalars(select(posting_batches.c.rule_hash).where(mine).distinct()))
    gone = policies.missing(books.store, named)
    listed = ": " + ", ".join(name or "no rules named" for name in gone[:5]) if gone else ""
    sentence = f"{len(named)} rule sets are named by lines and batches; the text of {len(gone)} is not stored{listed}."
    yield Gate("rules_are_on_file", entity_id, not gone, sentence, "Data platform")


def _batches(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    never_posted = list(rejected.keys(books.store))
    reversals = rejected.taken_back(books.booked, books.members, never_posted)
    waiting = unposted.reasons(books.state)
    query = f"""
        select coalesce(w.waits, 'uncut'), count(*)
        from {books.booked} as b
        anti join {books.members} as m on b.booked_line_id = m.booked_line_id
        anti join {reversals} as t on b.booked_line_id = t.booked_line_id
        left join {waiting} as w on b.booked_line_id = w.booked_line_id
        where b.entity_id = ? and b.posting_period = ? group by all order by all
    """
    found = dict(books.warehouse.execute(query, [entity_id, period]).fetchall())
    others = {reason: found.pop(reason) for reason in list(found) if reason in NOT_OURS}
    uncut, words = sum(found.values()), ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in found.items())
    sentence = f"{uncut} booked lines are in no posting batch" + (f" ({words})." if set(found) - {"uncut"} else ".")
    if others:
        listed = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in others.items())
        sentence += f" Not posted by policy: {listed}."
    yield Gate("lines_are_batched", entity_id, uncut == 0, sentence, "Revenue accounting")
    # A rejected batch all of whose lines are reversed is as if it had never been.
    whole = f"""
        with taken as (select batch_key, count(*) as n from {reversals} group by batch_key)
        select batch_key from taken inner join {books.members} as m using (batch_key)
        group by batch_key, n having count(*) = n
    """
    over = [row[0] for row in books.warehouse.execute(whole).fetchall()]
    mine = and_(
        posting_batches.c.entity_id == entity_id,
        posting_batches.c.period == period,
        posting_batches.c.batch_key.not_in(over),
        posting_batches.c.mode == LIVE,
    )
    with books.store.read() as connection:
        by_status = select(posting_batches.c.status, func.count()).where(mine).group_by(posting_batches.c.status)
        counts: dict[str, int] = dict(connection.execute(by_status).all())
    verified = counts.pop(posting_state.VERIFIED, 0)
    rest = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in sorted(counts.items())) or "none waits"
    sentence = f"{verified} batches are verified in the ERP; {rest}."
    yield Gate("batches_are_verified", entity_id, not counts, sentence, "Integration")


def _schedules(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    """An ERP that runs the schedules knows them as they are; nothing to say for other entities."""
    with books.store.read() as connection:
        left = schedule_outbox.unfinished(connection, entity_id)
    if left is not None:
        rest = ", ".join(f"{n} {status}" for status, n in left.items()) or "none waits"
        sentence = f"Versions of revenue schedules that the ERP does not have for certain: {rest}."
        yield Gate("schedules_are_verified", entity_id, not left, sentence, "Integration")


@dataclass(frozen=True)
class _Rule:
    """What one reconciliation means for the close of one entity. `floor` in minor units of the variance's currency."""

    floor: int
    owner: str | None
    class_owners: dict[str, str]

    def gates(self, amount: int) -> bool:
        """A variance below materiality does not gate; one at or above it does. Nothing is never a variance."""
        return amount != 0 and abs(amount) >= self.floor

    def owner_of(self, variance_class: str) -> str | None:
        return self.class_owners.get(variance_class) or self.owner


def _rules(books: Books, entity_id: str) -> dict[str, _Rule]:
    """Reconciliation -> its rule, for those that gate the close: the entity's policy over the company's config over the
    catalogue, as `reconciliation.rec_policy` resolved them for the statements."""
    recon_owners, class_owners = owners_of(books.warehouse, books.state)
    file = str(books.state / "recon_policy.parquet").replace("'", "''")
    query = f"""
        select recon_id, materiality_floor, gates_close, owner_team, owner_json
        from reconciliation.rec_policy where entity_id = $entity
        union all
        select recon_id, coalesce(materiality_floor, 0), gates_close, owner_team, null from read_parquet('{file}')
        where recon_id not in (select recon_id from reconciliation.rec_policy where entity_id = $entity)
    """
    return {
        row["recon_id"]: _Rule(
            int(row["materiality_floor"] or 0),
            row["owner_team"] or recon_owners.get(row["recon_id"]),
            class_owners | {c: str(o) for c, o in json.loads(row["owner_json"] or "{}").items()},
        )
        for row in rows(books.warehouse, query, {"entity": entity_id})
        if row["gates_close"]
    }


def _reconciliations(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    needed = ("rec_items", "rec_statements", "rec_policy")
    if not has_tables(books.warehouse, *(f"reconciliation.{name}" for name in needed)):
        yield Gate("reconciliations_ran", entity_id, False, "The reconciliations have not been built.", "Data platform")
        return
    rules = _rules(books, entity_id)
    query = "select * from reconciliation.rec_statements where entity_id = ? and period = ?"
    statements = rows(books.warehouse, query, [entity_id, period])
    missing = sorted(set(rules) - {s["recon_id"] for s in statements}, key=_by_number)
    sentence = (
        f"No statement of {', '.join(missing)}." if missing else f"{len(rules)} reconciliations have their statement."
    )
    yield Gate("reconciliations_ran", entity_id, not missing, sentence, "Data platform")
    yield from _variances(books, entity_id, period, statements, rules)


def _variances(
    books: Books, entity_id: str, period: str, statements: list[dict[str, Any]], rules: dict[str, _Rule]
) -> Iterator[Gate]:
    """Nothing unexplained of materiality or more (unless a person accepted it), and nobody's variance is nobody's."""
    query = """
        select *, coalesce(reference, item_key) as named from reconciliation.rec_items
        where entity_id = ? and period = ? and variance_class is not null order by abs(difference) desc, item_key
    """
    variances = [v for v in rows(books.warehouse, query, [entity_id, period]) if v["recon_id"] in rules]
    with books.store.read() as connection:
        accepted: set[str] = set(
            connection.scalars(
                select(exception_table.c.exception_id).where(exception_table.c.status == exceptions.ACCEPTED)
            )
        )
    for s in statements:
        recon = s["recon_id"]
        if recon not in rules:
            continue
        waived = sum(
            v["difference"]
            for v in variances
            if (v["recon_id"], v["currency"], v["variance_class"]) == (recon, s["currency"], "unexplained")
            and exceptions.exception_id(recon, "unexplained", entity_id, v["named"]) in accepted
        )
        rest = s["unexplained"] - waived
        if rules[recon].gates(rest):
            limit = f"materiality is {rules[recon].floor}" if rules[recon].floor else "any amount counts"
            sentence = f"{recon}: {rest} minor units {s['currency']} are unexplained; {limit}."
            owner = rules[recon].owner_of("unexplained") or "Controller"
            yield Gate("variances_are_explained", entity_id, False, sentence, owner)
    unowned = [
        v
        for v in variances
        if not rules[v["recon_id"]].owner_of(v["variance_class"]) and rules[v["recon_id"]].gates(v["difference"])
    ]
    first = (
        f", the largest {unowned[0]['difference']} {unowned[0]['currency']} on {unowned[0]['named']}" if unowned else ""
    )
    sentence = f"{len(unowned)} material variances have no owner{first}."
    yield Gate("variances_have_owners", entity_id, not unowned, sentence)


def _suspense(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    query = f"""
        select currency, sum(amount_tc)::bigint, sum(amount_fc)::bigint from {books.booked}
        where account_role = 'suspense' and entity_id = ? and posting_period <= ?
        group by currency having sum(amount_tc) <> 0 or sum(amount_fc) <> 0 order by 1
    """
    left = books.warehouse.execute(query, [entity_id, period]).fetchall()
    words = ", ".join(f"{tc} {currency}" for currency, tc, _ in left)
    yield Gate(
        "suspense_is_zero",
        entity_id,
        not left,
        f"Suspense holds {words or 'nothing'} (minor units).",
        "Revenue accounting",
    )


def _exceptions(books: Books, entity_id: str, period: str) -> Iterator[Gate]:
    t = exception_table.c
    blocking = and_(
        t.blocks_close,
        t.status.not_in(exceptions.DONE),
        t.origin != "reconciliation",  # the variances have gates of their own
        or_(t.entity_id.is_(None), t.entity_id == entity_id),
        or_(t.period.is_(None), t.period <= period),
    )
    with books.store.read() as connection:
        query = select(t.category, t.owner_team, func.count()).where(blocking).group_by(t.category, t.owner_team)
        found: list[Any] = list(connection.execute(query.order_by(t.category, t.owner_team)))
    for category, owner, count in found:
        sentence = f"{count} open {category.replace('_', ' ')} exceptions block the close."
        yield Gate("no_blocking_exceptions", entity_id, False, sentence, owner)
    if not found:
        yield Gate("no_blocking_exceptions", entity_id, True, "No open exception blocks the close.")


def _by_number(recon_id: str) -> tuple[int, str]:
    digits = "".join(c for c in recon_id if c.isdigit())
    return int(digits or 0), recon_id
