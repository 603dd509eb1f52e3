"""`revenue shadow ...`: what a pilot would have posted, against what the ERP holds."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table

COLUMNS = (
    "entity_code", "period", "account_code", "currency", "batches", "erp_documents", "would_be_debit",
    "would_be_credit", "erp_debit", "erp_credit", "difference", "comparison",
)  # fmt: skip


@click.group()
def shadow() -> None:
    """Classes in shadow (posting.yaml): summarised, compared with the ERP, never sent."""


@shadow.command()
@click.option("--period", "periods", multiple=True, help="Only this posting period (YYYY-MM); may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def report(periods: tuple[str, ...], as_json: bool) -> None:
    """What shadow batches would post against what the ERP holds without our key, by period and account; exit code 1
    while anything differs. Figures are those of the last publish."""
    from revenue_assets.cli import prepared, sentences
    from revenue_assets.publish.read import open_published

    with sentences(), open_published(prepared().published) as connection:
        query = f"select {', '.join(COLUMNS)} from finance.shadow_comparison order by all"
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query).fetchall()]
    rows = [row for row in rows if not periods or row["period"] in periods]
    click.echo(json.dumps(rows, indent=2, default=str)) if as_json else _print(rows)
    sys.exit(1 if any(row["difference"] for row in rows) else 0)


def _print(rows: list[dict[str, Any]]) -> None:
    from revenue_assets.checks.reconciliation import money

    console = Console(highlight=False)
    console.width = max(console.width, 120)
    if not rows:
        console.print("Nothing is in shadow.")
        return
    table = Table(title="What we would post, against what the ERP holds", title_justify="left")
    for name in ("Entity", "Period", "Account", "Currency"):
        table.add_column(name)
    for name in ("We: debit", "We: credit", "ERP: debit", "ERP: credit", "Difference"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        figures = [money(Decimal(row[n]), 2) for n in COLUMNS[6:11]]
        words = [row[n] for n in COLUMNS[:4]]
        table.add_row(*words, *figures, row["comparison"], style="yellow" if row["difference"] else None)
    console.print(table)
    equal = sum(row["comparison"] == "Equal" for row in rows)
    console.print(f"{equal} of {len(rows)} accounts and periods are equal.")
