"""Tables that are sums over the whole journal, moved by the difference that the scope makes instead of summed again.

The SQL of the model runs twice over the rows of the scope, as they were and as they are; the table becomes itself less
the one plus the other. Where a sum is no plain sum (small lines merged, a first month that vanishes) it is computed
anew.
"""

from __future__ import annotations

import re

import duckdb

from revenue_assets.incremental.compiled import RELATION, Model

SUMS = ("rollforwards", "posting_summaries")
POLICY = re.compile(r"read_parquet\('[^']*/policy\.parquet'\)")
# What names a row of a roll-forward; all other columns but the two balances are flows.
ROLLFORWARD_KEYS = ("entity_id", "name", "currency")
BALANCES = ("opening", "closing")
MEASURES = ("debit", "credit", "debit_fc", "credit_fc", "member_count")


def before(connection: duckdb.DuckDBPyConnection, every: list[Model]) -> None:
    """Computes temp tables `<name>_before` from the stored rows of the scope; call it before they are replaced."""
    for model in every:
        if model.name in SUMS:
            _over_scope(connection, model, "whole", f"{model.name}_before")


def move(connection: duckdb.DuckDBPyConnection, every: list[Model]) -> None:
    """Brings the sums up to date; the scope's rows have been replaced."""
    for model in every:
        if model.name not in SUMS:
            continue
        _over_scope(connection, model, "revenue", f"{model.name}_after")
        moved = _rollforwards(connection) if model.name == "rollforwards" else _summaries(connection, model)
        sql = moved or model.sql.replace(f'"{model.database}".', "whole.")
        table = f'whole."{model.schema}"."{model.name}"'
        connection.execute(f"create or replace temp table moved as (\n{sql}\n)")
        connection.execute(f"delete from {table}")
        connection.execute(f"insert into {table} by name (from moved)")


def _over_scope(connection: duckdb.DuckDBPyConnection, model: Model, database: str, target: str) -> None:
    """The model over the rows of the scope only: what has no event key belongs to no scope."""
    given = []
    for found in sorted({match.group(0) for match in RELATION.finditer(model.sql)}):
        match = RELATION.match(found)
        assert match is not None
        relation = f"{database}.{match['schema']}.{match['name']}"
        keyed = connection.execute(
            "select 1 from duckdb_columns() where database_name = ? and schema_name = ? and table_name = ? "
            "and column_name = 'event_key'",
            [database, match["schema"], match["name"]],
        ).fetchall()
        condition = "event_key in (from scope)" if keyed else "false"
        view = f"scoped_{match['name']}"
        connection.execute(f"create or replace temp table {view} as select * from {relation} where {condition}")
        given.append((found, f"temp.main.{view}"))
    sql = model.sql
    for found, view in given:
        sql = sql.replace(found, view)
    connection.execute(f"create or replace temp table {target} as (\n{sql}\n)")


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Names and types of the columns of a table of the whole subledger."""
    return connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'whole' "
        "and schema_name = 'subledger' and table_name = ? order by column_index",
        [table],
    ).fetchall()


def _rollforwards(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Flows add; balances run. None if the first month of an account may have gone with the scope's old rows."""
    keys = ", ".join(ROLLFORWARD_KEYS)
    vanished = connection.execute(
        f"select 1 from (select {keys}, min(period) as first from rollforwards_before group by all) as old "
        f"inner join (select {keys}, min(period) as first from whole.subledger.rollforwards group by all) as stored "
        f"using ({keys}, first) left join (select {keys}, min(period) as first from rollforwards_after group by all) "
        f"as new using ({keys}, first) where new.first is null limit 1"
    ).fetchall()
    if vanished:
        return None
    columns = _columns(connection, "rollforwards")
    flows = [(name, kind) for name, kind in columns if name not in (*ROLLFORWARD_KEYS, "period", *BALANCES)]
    added = ", ".join(f"sum(sign * {name})::{kind} as {name}" for name, kind in flows)
    run = f"sum(net) over (partition by {keys} order by period rows between unbounded preceding and current row)"
    return f"""
        select * exclude (net), ({run} - net)::bigint as opening, {run}::bigint as closing
        from (
            select {keys}, period, {added}, sum(sign * (closing - opening)) as net
            from (
                select *, 1 as sign from whole.subledger.rollforwards
                union all by name select *, -1 as sign from rollforwards_before
                union all by name select *, 1 as sign from rollforwards_after
            ) group by all
        )
    """


def _summaries(connection: duckdb.DuckDBPyConnection, model: Model) -> str | None:
    """Lines of one key add up. None if a policy merges small lines or nets debits with credits."""
    policy = POLICY.search(model.sql)
    if (
        policy is None
        or connection.execute(
            f"select 1 from {policy.group(0)} where (key = 'net_lines' and value = 'true') "
            "or (key = 'min_line' and value not in ('0', 'null')) limit 1"
        ).fetchall()
    ):
        return None
    columns = _columns(connection, "posting_summaries")
    keys = ", ".join(name for name, _ in columns if name not in MEASURES)
    sums = ", ".join(f"sum(sign * {name})::{kind} as {name}" for name, kind in columns if name in MEASURES)
    return f"""
        select * exclude (is_debit)
        from (
            select {keys}, debit_fc > 0 or (credit_fc = 0 and debit > 0) as is_debit, {sums}
            from (
                select *, 1 as sign from whole.subledger.posting_summaries
                union all by name select *, -1 as sign from posting_summaries_before
                union all by name select *, 1 as sign from posting_summaries_after
            ) group by all
        )
        where member_count <> 0
    """
