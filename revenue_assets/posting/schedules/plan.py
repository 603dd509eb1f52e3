"""Planning: which revenue schedules changed since the ERP was last told; each change becomes a version in the outbox.

Only entities with `schedules_owner: erp`, whose `revenue.recognised` is live in posting.yaml, and whose ERP takes
schedules. A version is the whole schedule; what came before it under the same key and was not sent is superseded. The
same warehouse plans nothing the second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from revenue_assets.close.exceptions import has_tables
from revenue_assets.domain.posting_policy import resolve
from revenue_assets.posting.erp.port import ErpPort
from revenue_assets.posting.schedules import plan_sql as sql
from revenue_assets.posting.settling import Known as KnownRules
from revenue_assets.posting.settling import PostingRules
from revenue_assets.store import exceptions, leases, manifest, schedule_outbox
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import Journal, read_files
from revenue_assets.store.outbox import content_hash

ORIGIN = "schedule planning"
LEASE = "schedules"
EVENT_CLASS = "revenue.recognised"
_KNOWN = pa.schema(
    [("schedule_key", pa.string()), ("entity_id", pa.string()), ("version", pa.int64()), ("content_hash", pa.string())]
)


@dataclass(frozen=True)
class PlanReport:
    """What one planning did. `schedules`: those that exist; `planned`: new versions, `ended` of them without parts;
    `held` wait for the mappings named in `missing`; `not_sent`: entity -> why nothing of it goes to the ERP."""

    schedules: int = 0
    planned: int = 0
    ended: int = 0
    superseded: int = 0
    held: int = 0
    missing: list[str] = field(default_factory=list)
    not_sent: dict[str, str] = field(default_factory=dict)


def plan(
    store: Store,
    journal: Journal,
    warehouse: Path,
    state: Path,
    ports: Mapping[str, ErpPort],
    *,
    tenant: str,
    clock: Clock = SYSTEM_CLOCK,
    lease_wait_seconds: float = 30.0,
) -> PlanReport:
    """Plans a version of every schedule that is not what the ERP was last told.

    `state` holds entities, accounts, policy and posting policy as Parquet; `ports`: ERP company -> its port, asked for
    its capabilities alone. Raises StoreError without a warehouse, and if an entity whose ERP has schedules has none in
    it: a broken build, not the end of all its contracts.
    """
    with leases.held(store, LEASE, wait_seconds=lease_wait_seconds, clock=clock):
        owned, not_sent = _owned(store, state, ports)
        items = [_unsupported(entity, words) for entity, words in not_sent.items() if words.startswith("The ERP")]
        report = PlanReport(not_sent=not_sent)
        if owned:
            if not warehouse.exists():
                raise StoreError(f"there is no warehouse at {warehouse}; build it first.")
            with duckdb.connect(str(warehouse), read_only=True) as connection:
                report, missing = _plan(store, journal, connection, state, owned, not_sent, tenant, clock)
            items += missing
        with store.write() as writer:
            exceptions.sync(writer, ORIGIN, items, clock.now())
    return report


def _owned(
    store: Store, state: Path, ports: Mapping[str, ErpPort]
) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    """(entity, live_from) of those whose schedules go out, and why those of the others do not."""
    policy = pq.read_table(state / "policy.parquet").to_pylist()
    erp = sorted({r["entity_id"] for r in policy if r["key"] == "schedules_owner" and r["value"] == "erp"})
    if not erp:
        return [], {}
    companies = {r["entity_id"]: r["erp_company"] for r in pq.read_table(state / "entities.parquet").to_pylist()}
    rules = PostingRules.read(state)
    with store.read() as reader:
        known = KnownRules.read(reader)
    owned, why = [], {}
    for entity in erp:
        port = ports.get(companies.get(entity) or "")
        setting = resolve(rules.posting, entity, EVENT_CLASS, None, None)
        if setting.posting_mode != "live":
            why[entity] = f"posting.yaml has {EVENT_CLASS} of {entity} at {setting.posting_mode}."
        elif known.needs_cut_over(setting, entity, EVENT_CLASS):
            why[entity] = f"posting.yaml does not say from which period {EVENT_CLASS} of {entity} is live."
        elif port is None:
            why[entity] = f"No ERP serves {entity}."
        elif not port.capabilities.revenue_schedules:
            why[entity] = (
                f"The ERP adapter {port.capabilities.vendor} takes no revenue schedules: those of {entity} are kept in "
                "the ERP by hand, and R11 and R12 compare what it recognises."
            )
        else:
            owned.append((entity, setting.live_from))
    return owned, why


def _plan(
    store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, state: Path,
    owned: list[tuple[str, str | None]], not_sent: dict[str, str], tenant: str, clock: Clock,
) -> tuple[PlanReport, list[exceptions.Item]]:  # fmt: skip
    _load(store, journal, connection, state, owned, tenant)
    if twice := connection.execute(sql.TWICE).fetchall():
        _, entity, document, lines = twice[0]
        raise StoreError(f"{lines} schedules of document {document} of {entity} share one line; nothing was planned.")
    present = {row[0] for row in connection.execute(sql.ENTITIES).fetchall()}
    rows = [
        dict(zip(_COLUMNS, row, strict=True)) for row in connection.execute(sql.CHANGED).fetchall()
    ]  # fmt: skip
    with store.read() as reader:
        ended = list(_ended(reader, connection.execute(sql.GONE).fetchall(), present))
    now = clock.now()
    with store.write() as writer:
        superseded = schedule_outbox.add_versions(writer, rows + ended, now)
    missing = [_missing(*row) for row in connection.execute(sql.MISSING).fetchall()]
    count, held = (connection.execute(query).fetchall()[0][0] for query in (sql.COUNT, sql.HELD))
    references = [item.reference for item in missing]
    return PlanReport(count, len(rows) + len(ended), len(ended), superseded, held, references, not_sent), missing


_COLUMNS = (
    "schedule_key", "version", "entity_id", "erp_company", "currency", "total_tc", "content_hash", "document_json",
)  # fmt: skip


def _load(
    store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, state: Path,
    owned: list[tuple[str, str | None]], tenant: str,
) -> None:  # fmt: skip
    """The temporary tables of `plan_sql`."""
    with store.read() as reader:
        bookings = manifest.bookings(reader)
        known = schedule_outbox.newest(reader, [entity for entity, _ in owned])
    journal.prepare()
    journal.check_files(journal.lines, {b.booking_id: b.stamp for b in bookings})
    connection.execute(sql.OWNED)
    connection.executemany("insert into owned values (?, ?)", owned)
    connection.execute(sql.ITEMS)
    for row in PostingRules.read(state).items:
        connection.execute("insert into item values (?, ?, ?)", [row.get("entity"), row["product_family"], row["item"]])
    has_numbers = has_tables(connection, "canonical.can_invoices")
    connection.execute(sql.NUMBERS if has_numbers else sql.NO_NUMBERS)
    connection.execute(sql.parts(read_files(journal.lines, (b.booking_id for b in bookings))))
    for statement in sql.schedules(state, tenant):
        connection.execute(statement)
    columns = {name: [getattr(one, name) for one in known] for name in _KNOWN.names}
    connection.register("known_versions", pa.table(columns, schema=_KNOWN))
    connection.execute(sql.KNOWN)


def _ended(reader: Any, gone: list[tuple[Any, ...]], present: set[str]) -> Any:
    """A last version without parts for each schedule that has nothing to recognise any more, once."""
    for schedule_key, entity, version in gone:
        if entity not in present:
            raise StoreError(
                f"{entity} has revenue schedules in the ERP and none in the warehouse: the build is not whole. "
                "Nothing was planned; build the warehouse again."
            )
        last = schedule_outbox.get(reader, schedule_outbox.update_key(schedule_key, version))
        document = json.loads(last.document_json)
        if document["parts"]:
            text = json.dumps(document | {"parts": []}, separators=(",", ":"), ensure_ascii=False)
            values = (schedule_key, version + 1, entity, last.erp_company, last.currency, 0, content_hash(text), text)
            yield dict(zip(_COLUMNS, values, strict=True))


def _unsupported(entity: str, words: str) -> exceptions.Item:
    return exceptions.Item(
        category="unsupported", reference=f"{entity}:revenue_schedules",
        owner_team=exceptions.owner_of("unsupported", None, {}), entity_id=entity, error_code="unsupported",
        error_message=words, next_action="Keep the schedules in the ERP, or set schedules_owner to platform.",
    )  # fmt: skip


def _missing(entity: str, role: str | None, family: str | None) -> exceptions.Item:
    what = f"account role {role}" + (f", family {family}," if family else "") if role else "the ERP company"
    return exceptions.Item(
        category="mapping_missing", reference=f"{entity}:{role or 'erp_company'}:{family or '*'}:schedules",
        owner_team=exceptions.owner_of("mapping_missing", None, {}), entity_id=entity, blocks_close=True,
        severity="error", error_code="mapping_missing",
        error_message=f"No ERP mapping for {what} of {entity}: the revenue schedules that need it wait.",
        next_action="Add the mapping in the company config; the schedules go out with the next run.",
    )  # fmt: skip
