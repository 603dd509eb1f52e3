"""P21: maker is not checker. Four roles against every action on what waits for a second person, through the functions
and past them by SQL; on PostgreSQL each role has a database login of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import test_approvals as same
from ground import Ground, Outcome
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from store_kit import House, invoice

from revenue_assets import exception_queue
from revenue_assets.posting.outbox import replay
from revenue_assets.store import approvals, audit, periods
from revenue_assets.store.engine import Store, StoreError

# Rights as a deployment grants them (docs/approvals.md); the reader reads.
LOGINS = """
do $$ declare who text; begin
    foreach who in array array['anna', 'ben', 'dora', 'carla'] loop
        if not exists (select 1 from pg_roles where rolname = who) then
            execute 'create role ' || who || ' login';
        end if;
        execute 'grant select on all tables in schema public to ' || who;
    end loop; end $$;
grant insert on approvals, audit_links, audit_entries, posting_attempts to anna, ben, dora;
grant update on posting_batches to anna, ben, dora;
grant insert, update on exceptions to anna, ben, dora;
grant usage on all sequences in schema public to anna, ben, dora;
"""
PERIOD = "2025-12"

MAKER, APPROVER, SMALL, READER = "maker", "approver", "small approver", "reader"
SIGN = same.SIGN


class Action(NamedTuple):
    """`do(house, store, who)`; `allowed`: roles that may. `only`: the one kind of store that can refuse it."""

    do: Callable[[House, Store, str], object]
    allowed: frozenset[str] = frozenset()
    only: str | None = None


def _sql(statement: str, **values: object) -> Callable[[House, Store, str], object]:
    def run(house: House, store: Store, who: str) -> object:
        key = same.large(house)
        given = {"key": key, "who": who, **values}
        with store.write() as connection:
            done = connection.execute(text(statement), {k: v for k, v in given.items() if f":{k}" in statement})
            assert done.rowcount != 0, "the statement met no row: nothing was tried"
        return done

    return run


def _sign(decision: str) -> Callable[[House, Store, str], object]:
    def run(house: House, store: Store, who: str) -> object:
        with store.write() as connection:
            signed = same.SIGNED | {"key": same.large(house), "checker": who, "decision": decision}
            return connection.execute(text(SIGN), signed)

    return run


ACTIONS: dict[str, Action] = {
    "approve": Action(
        lambda house, store, who: approvals.decide(
            store, same.large(house), "approved", checker=who, reason="seen", os_login="x"
        ),
        frozenset({APPROVER}),
    ),
    "reject": Action(
        lambda house, store, who: approvals.decide(
            store, same.large(house), "rejected", checker=who, reason="no", os_login="x"
        ),
        frozenset({APPROVER, SMALL}),
    ),
    "replay": Action(lambda house, store, who: replay(store, same.large(house), actor=who)),
    "accept its exception": Action(
        lambda house, store, who: exception_queue.settle(store, same.large(house), "Accepted", actor=who, note="x")
    ),
    "reopen a closed period": Action(
        lambda house, store, who: approvals.reopen_period(
            house.store, "US", PERIOD, requested_by="anna", approver=who, reason="late invoice"
        ),
        frozenset({APPROVER, SMALL}),
    ),
    "SQL: sign": Action(_sign("approved"), frozenset({APPROVER})),
    "SQL: sign a rejection": Action(_sign("rejected"), frozenset({APPROVER, SMALL})),
    "SQL: release": Action(_sql("update posting_batches set status = 'planned' where batch_key = :key")),
    "SQL: send": Action(_sql("update posting_batches set status = 'sent' where batch_key = :key")),
    "SQL: take the limit away": Action(_sql("update posting_batches set approval_limit = null where batch_key = :key")),
    "SQL: another preparer": Action(_sql("update posting_batches set prepared_by = 'eve' where batch_key = :key")),
    "SQL: raise one's own limit": Action(_sql("update approvers set up_to = 99999999"), only="postgresql"),
    "SQL: raise the batch limit": Action(_sql("update approval_limits set above = 99999999"), only="postgresql"),
    "SQL: edit the log": Action(_sql("update audit_entries set actor = 'ben'")),
    "SQL: cut the log": Action(_sql("delete from audit_entries")),
    "SQL: reopen": Action(_sql("update periods set status = 'open' where period = '2025-12'")),
}


def matrix(ground: Ground, count: int) -> Outcome:
    """All cells, `count` of them at least: again from the start if more are asked for."""
    result = Outcome()
    while result.reached < count and not ground.is_over:
        for action in ACTIONS:
            for role in (MAKER, APPROVER, SMALL, READER):
                if ACTIONS[action].only in (None, ground.server.name):
                    cell(ground, action, role, result)
    return result


_STANDING: dict[int, House] = {}


def cell(ground: Ground, action: str, role: str, result: Outcome) -> None:
    """One role tries one action, on a house that no one before has changed."""
    house = _STANDING.pop(id(ground), None) or _house(ground)
    who = same.ROLES[role]
    store, mine = house.store, house.store
    if not house.store.is_sqlite:
        mine = Store(create_engine(house.store.engine.url.set(username=who)), actor=who)
    before = audit.newest(store)
    result.reached += 1
    try:
        ACTIONS[action].do(house, mine, who)
        done = True
    except (StoreError, DBAPIError, periods.PeriodError):
        done = False
    finally:
        if mine is not store:
            mine.close()
    result.check(done == (role in ACTIONS[action].allowed), f"{role} {'could' if done else 'could not'} {action}")
    result.count("allowed" if done else "refused")
    if done:
        store.close()
        return
    result.check(audit.newest(store) == before, f"{action} was refused to the {role} and left a trace of being done")
    result.check(same.states(house)["2026-02"] == "awaiting_approval", f"{action} by the {role} moved the batch")
    _STANDING[id(ground)] = house


def _house(ground: Ground) -> House:
    """anna's cut: one batch above the limit waits; December is closed."""
    house = ground.house()
    house.store = Store(house.store.engine, actor="anna")
    approvals.adopt(house.store, same.AUTHORITY, actor="admin")
    periods.ensure(house.store, ["US"], PERIOD, PERIOD)
    now = house.store
    with now.write() as connection:
        entry = periods.hard_close(
            connection, "US", PERIOD, "anna", snapshot_hash="h", snapshot_json="{}", now=same.FakeClock().now()
        )
        audit.record(connection, same.FakeClock().now(), [entry])
    house.should(invoice("i1", "2026-01-05", 100_000), invoice("i2", "2026-02-05", 200_000))
    same.book_and_cut(house)
    if not house.store.is_sqlite:
        with house.store.write() as connection:
            connection.execute(text(LOGINS))
    return house
