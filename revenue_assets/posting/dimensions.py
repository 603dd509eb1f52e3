"""Dimension values that a posted line lacks, from masters: item mapping, customer, default. The origin stays on it.

`jurisdiction` and `tax_code` fill the line's own columns, so that summary keys can use them; every other dimension goes
with the line under its name. What is required and cannot be found holds the entry as mapping_missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from revenue_assets.posting.settling import PostingRules


def enrich(connection: duckdb.DuckDBPyConnection, rules: PostingRules) -> None:
    """Fills jurisdiction, tax_code, `extra`, `origins` and `missing_dimension` of `coded`. Needs `customer_fact`."""
    connection.execute(
        "create or replace temp table dimension (entity_id varchar, name varchar, account_role varchar, "
        "source varchar, rank integer, default_value varchar, required boolean)"
    )
    entities = [row[0] for row in connection.execute("select distinct entity_id from coded").fetchall()]
    _fill(connection, "dimension", _dimension_rows(rules.dimensions, entities))
    connection.execute(
        "create or replace temp table master_value (master varchar, entity_id varchar, subject varchar, name varchar, "
        "value varchar)"
    )
    _fill(connection, "master_value", _value_rows(rules))
    connection.execute(LINE_DIMENSION)
    connection.execute(ENRICHED)


def _dimension_rows(dimensions: Iterable[Mapping[str, Any]], entities: Iterable[str]) -> list[tuple[Any, ...]]:
    """An entity's own row of a dimension stands in place of the common one."""
    rows = list(dimensions)
    out = []
    for entity in entities:
        own = {row["name"] for row in rows if row["entity"] == entity}
        for row in rows:
            if row["entity"] != entity and (row["entity"] is not None or row["name"] in own):
                continue
            out += [
                (entity, row["name"], role, source, rank, row["default"], row["required"])
                for role in row["roles"]
                for rank, source in enumerate(row["from"])
            ]
    return out


def _value_rows(rules: PostingRules) -> list[tuple[Any, ...]]:
    out = [
        ("item", row["entity"], row["product_family"], name, value)
        for row in rules.items
        for name, value in row["values"].items()
    ]
    for row in rules.customers:
        master = "customer" if row["customer"] is not None else "country"
        out += [(master, None, row[master], name, value) for name, value in row["values"].items()]
    return out


def _fill(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.executemany(f"insert into {table} values ({', '.join('?' for _ in rows[0])})", rows)


# grain: one dimension of one line: the first source that has a value gives it.
LINE_DIMENSION = """
create or replace temp table line_dimension as
with offered as (
    select
        c.booked_line_id, d.name, d.rank, d.required,
        case d.source
            when 'line' then if(d.name = 'jurisdiction', c.jurisdiction, c.tax_code)
            when 'item' then coalesce(own_item.value, item.value)
            when 'customer' then coalesce(customer.value, country.value)
            else d.default_value
        end as value,
        case d.source
            when 'item' then 'item ' || c.product_family
            when 'customer' then if(customer.value is not null, 'customer ' || c.customer_id, 'country ' || f.country)
            else d.source
        end as origin
    from coded as c
    inner join dimension as d on c.entity_id = d.entity_id and c.account_role = d.account_role
    left join customer_fact as f on c.customer_id = f.customer_id
    left join master_value as own_item
        on own_item.master = 'item' and own_item.name = d.name and own_item.subject = c.product_family
        and own_item.entity_id = c.entity_id
    left join master_value as item
        on item.master = 'item' and item.name = d.name and item.subject = c.product_family and item.entity_id is null
    left join master_value as customer
        on customer.master = 'customer' and customer.name = d.name and customer.subject = c.customer_id
    left join master_value as country
        on country.master = 'country' and country.name = d.name and country.subject = f.country
)
select
    booked_line_id, name, bool_or(required) as required,
    arg_min(value, rank) filter (where value is not null) as value,
    arg_min(origin, rank) filter (where value is not null) as origin
from offered
group by booked_line_id, name
"""
ENRICHED = """
create or replace temp table coded as
with found as (
    select
        booked_line_id,
        max(value) filter (where name = 'jurisdiction') as jurisdiction,
        max(value) filter (where name = 'tax_code') as tax_code,
        list_sort(list({'name': name, 'value': value})
            filter (where name not in ('jurisdiction', 'tax_code') and value is not null)) as extra,
        list_sort(list(name || ': ' || origin) filter (where value is not null and origin <> 'line')) as origins,
        min(name) filter (where required and value is null) as missing_dimension
    from line_dimension
    group by booked_line_id
)
select
    c.* replace (
        coalesce(f.jurisdiction, c.jurisdiction) as jurisdiction, coalesce(f.tax_code, c.tax_code) as tax_code,
        f.extra as extra, f.origins as origins, f.missing_dimension as missing_dimension
    )
from coded as c
left join found as f using (booked_line_id)
"""
