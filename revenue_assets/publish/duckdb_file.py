"""Publishes the warehouse's `finance` schema as a DuckDB file of its own, swapped in by one rename.

Readers see the old publish or the new one, never half of one: the file is built beside, checked, made read-only and
renamed over the old one; who has the old file open keeps it. Nothing is computed here; figures come from dbt.

The file itself is `published.duckdb`; the target is a link to it. DuckDB names an opened database after the file, and
one named like its own schema would leave every `finance.x` ambiguous.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from revenue_assets.store import audit, landing, leases, publish_log
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.ledger import fsync_folder

# Readable by 1.x BI clients.
STORAGE_VERSION = "v1.2.0"
SCHEMA = "finance"
LOG_TABLE = "publish_log"
FILE_NAME = "published.duckdb"
# As the dbt model of that name has them.
_LOG_COLUMNS = (
    "publish_id", "at", "status", "run_id", "code_version", "dbt_invocation_id", "rules_version", "fx_rate_set",
    "as_of", "source_cut_offs", "table_rows", "table_hashes", "content_hash",
)  # fmt: skip


class PublishRefused(StoreError):
    """The finance schema is not fit to be read; the published file is untouched."""


@dataclass(frozen=True)
class PublishReport:
    """What readers see now. Hashes do not depend on row order or on the publish's own id."""

    publish_id: str
    path: Path
    content_hash: str
    row_counts: dict[str, int] = field(default_factory=dict)
    table_hashes: dict[str, str] = field(default_factory=dict)


def publish(
    store: Store,
    warehouse: Path,
    target: Path,
    *,
    code_version: str,
    run_id: str | None = None,
    dbt_invocation_id: str | None = None,
    rules_version: str | None = None,
    as_of: dt.date | None = None,
    required: tuple[str, ...] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> PublishReport:
    """Builds, checks and swaps in the published file at `target`, and logs it.

    `required`: tables that must be there. PublishRefused, and nothing changes, if one is missing, a column is a binary
    float, or the copy differs from the warehouse. A column `publish_id` is filled in every table that has one.
    """
    if not warehouse.exists():
        raise PublishRefused(f"there is no warehouse at {warehouse}; build it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with leases.held(store, "publish", wait_seconds=60.0, clock=clock):
        for leftover in target.parent.glob(f".{target.name}.*"):
            leftover.unlink()
        beside = target.parent / f".{target.name}.{os.getpid()}"
        now = clock.now()
        with duckdb.connect() as connection:
            connection.execute(f"attach {_quoted(warehouse)} as source (read_only)")
            tables = _tables(connection, required)
            hashes = {name: table_hash(connection, f"source.{SCHEMA}.{_name(name)}") for name in tables}
            content = hashlib.sha256(audit.canonical(hashes).encode()).hexdigest()
            publish_id = f"p{now:%Y%m%dT%H%M%S%f}-{content[:8]}"
            connection.execute(f"attach {_quoted(beside)} as target (storage_version '{STORAGE_VERSION}')")
            connection.execute(f"create schema target.{SCHEMA}")
            counts = {name: _copy(connection, name, publish_id) for name in tables}
            _check_copy(connection, hashes)
            with store.write() as writer:
                publish_log.add_built(
                    writer,
                    publish_id,
                    at=now,
                    run_id=run_id,
                    code_version=code_version,
                    rules_version=rules_version,
                    as_of=as_of,
                    content_hash=content,
                    table_rows=counts,
                    table_hashes=hashes,
                    dbt_invocation_id=dbt_invocation_id,
                    fx_rate_set=_fx_rate_set(connection),
                    source_cut_offs=landing.cut_offs(store),
                )
            _write_log(connection, store, publish_id)
            connection.execute("checkpoint target")
            connection.execute("detach target")
        beside.chmod(0o444)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, target.parent / FILE_NAME)
        _link(target)
        fsync_folder(target.parent)
        with store.write() as writer:
            publish_log.set_live(writer, publish_id, clock.now())
    return PublishReport(publish_id, target, content, counts, hashes)


def _tables(connection: duckdb.DuckDBPyConnection, required: tuple[str, ...]) -> list[str]:
    """Names of the finance relations to copy (the log is written from the store); refuses what must not be read."""
    query = f"""
        select table_name, list(column_name) filter (where data_type in ('DOUBLE', 'FLOAT')) as floats
        from duckdb_columns() where database_name = 'source' and schema_name = '{SCHEMA}' group by 1 order by 1
    """
    found = dict(connection.execute(query).fetchall())
    found.pop(LOG_TABLE, None)
    missing = sorted(set(required) - set(found))
    if missing or not found:
        raise PublishRefused(
            f"the finance schema lacks {', '.join(missing) or 'every table'}; run the dbt build first."
        )
    floats = [f"{table}.{column}" for table, columns in found.items() for column in columns or []]
    if floats:
        raise PublishRefused(f"binary floats cannot carry money: {', '.join(sorted(floats))}; make them decimals.")
    return sorted(found)


def table_hash(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Hash of the rows as a bag, without `publish_id`. Text is the stable form; DuckDB's own hash() is not."""
    columns = [row[0] for row in connection.execute(f"describe {table}").fetchall() if row[0] != "publish_id"]
    row = "concat_ws('|', " + ", ".join(f"coalesce(cast({_name(c)} as varchar), '\\N')" for c in columns) + ")"
    query = f"select coalesce(md5(string_agg(h, '' order by h)), '') from (select md5({row}) as h from {table})"
    return str(connection.execute(query).fetchall()[0][0])


def _copy(connection: duckdb.DuckDBPyConnection, name: str, publish_id: str) -> int:
    """Copies one relation with its comments; returns its rows."""
    source, copy = f"source.{SCHEMA}.{_name(name)}", f"target.{SCHEMA}.{_name(name)}"
    columns = [row[0] for row in connection.execute(f"describe {source}").fetchall()]
    replaced = f" replace ('{publish_id}' as publish_id)" if "publish_id" in columns else ""
    connection.execute(f"create table {copy} as select *{replaced} from {source} order by all")
    where = f"where database_name = 'source' and schema_name = '{SCHEMA}'"
    comments = connection.execute(
        f"select comment from duckdb_tables() {where} and table_name = $1 and comment is not null "
        f"union all select comment from duckdb_views() {where} and view_name = $1 and comment is not null",
        [name],
    ).fetchall()
    for (comment,) in comments:
        connection.execute(f"comment on table {copy} is {_text(comment)}")
    query = f"select column_name, comment from duckdb_columns() {where} and table_name = ? and comment is not null"
    for column, comment in connection.execute(query, [name]).fetchall():
        connection.execute(f"comment on column {copy}.{_name(column)} is {_text(comment)}")
    return int(connection.execute(f"select count(*) from {copy}").fetchall()[0][0])


def _check_copy(connection: duckdb.DuckDBPyConnection, hashes: dict[str, str]) -> None:
    for name, expected in hashes.items():
        if table_hash(connection, f"target.{SCHEMA}.{_name(name)}") != expected:
            raise PublishRefused(f"the copy of {name} differs from the warehouse; nothing was published.")


def _link(target: Path) -> None:
    """Makes `target` a link to the published file, in one step, also where a plain file stood before."""
    if target.is_symlink() and os.readlink(target) == FILE_NAME:
        return
    beside = target.with_name(f".{target.name}.link")
    beside.symlink_to(FILE_NAME)
    os.replace(beside, target)


def _fx_rate_set(connection: duckdb.DuckDBPyConnection) -> str:
    """The exchange rates that the figures were computed with: newest day, number and hash; empty without rates."""
    table = "source.canonical.can_fx_rates"
    known = "select count(*) from duckdb_columns() where database_name = 'source' and schema_name = 'canonical'"
    if not connection.execute(f"{known} and table_name = 'can_fx_rates'").fetchall()[0][0]:
        return ""
    rows, newest = connection.execute(f"select count(*), max(rate_date) from {table}").fetchall()[0]
    return f"{newest} {rows} rates {table_hash(connection, table)[:12]}" if rows else ""


def _write_log(connection: duckdb.DuckDBPyConnection, store: Store, publish_id: str) -> None:
    """The log as readers of this very file should see it: this publish is the live one."""
    table = f"target.{SCHEMA}.{LOG_TABLE}"
    kinds = (f"{_name(n)} {'timestamp' if n == 'at' else 'varchar'}" for n in _LOG_COLUMNS)
    connection.execute(f"create table {table} ({', '.join(kinds)})")
    rows = []
    for row in publish_log.all_publishes(store):
        row |= {"status": "live" if row["publish_id"] == publish_id else "superseded"}
        rows.append([row["at"] if n == "at" else "" if row[n] is None else str(row[n]) for n in _LOG_COLUMNS])
    connection.executemany(f"insert into {table} values ({', '.join('?' * len(_LOG_COLUMNS))})", rows)
    connection.execute(f"comment on table {table} is 'One row per publish of this schema; the live one is this file.'")


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(path: Path) -> str:
    return _text(str(path))
