"""Which product families are sold, if a finished build can tell."""

from __future__ import annotations

from pathlib import Path

import duckdb


def sold_families(warehouse: Path) -> frozenset[str] | None:
    """Families of landed products and invoice lines; None if there is no build, or somebody is writing it."""
    if not warehouse.is_file():
        return None
    query = """
        select product_family from canonical.can_products where product_family is not null
        union select product_family from canonical.can_invoice_lines where product_family is not null
    """
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            return frozenset(row[0] for row in connection.execute(query).fetchall())
    except duckdb.Error:
        return None
