"""Each reconciliation as a check a controller can read: does it tie, and if not, by how much and who owns it."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import dagster as dg

from revenue_assets.resources import WAREHOUSE_POOL, Platform

CHECK = "ties_within_materiality"
CODES = tuple(f"R{number}" for number in range(1, 18))
STATEMENT = """
select
    s.recon_code, s.period, s.entity_code, s.currency, s.source_amount, s.target_amount, s.variance_amount,
    s.explained_amount, s.unexplained_amount, s.recon_status, s.owner_team, s.minor_unit, s.is_material
from finance.recon_statement as s
where s.recon_code = ?
order by s.period desc, s.entity_code, s.currency
"""
MONTHS_SHOWN = 3


def reconciliation_key(code: str) -> dg.AssetKey:
    return dg.AssetKey(["reconciliation", f"rec_r{int(code[1:]):02d}"])


def reconciliation_checks() -> dg.AssetChecksDefinition:
    """One check per reconciliation: WARN for what is explained or below the threshold, ERROR for the rest."""

    @dg.multi_asset_check(
        name="reconciliations",
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=reconciliation_key(code),
                additional_deps=[dg.AssetKey(["finance", "recon_statement"])],
                description=f"{code}: source less target is explained by classified items, within the threshold.",
            )
            for code in CODES
        ],
        can_subset=True,
        pool=WAREHOUSE_POOL,
    )
    def _check(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        selected = {key.asset_key for key in context.selected_asset_check_keys}
        for code in CODES:
            if reconciliation_key(code) not in selected:
                continue
            with platform.warehouse() as connection:
                rows = connection.execute(STATEMENT, [code]).fetchall()
                names = [column[0] for column in connection.description]
            yield result_of(code, [dict(zip(names, row, strict=True)) for row in rows])

    return _check


def result_of(code: str, rows: list[dict[str, Any]]) -> dg.AssetCheckResult:
    """The check of one reconciliation from its statements: red for what is unexplained and material."""
    material = [r for r in rows if r["is_material"] and r["unexplained_amount"]]
    return dg.AssetCheckResult(
        passed=not material,
        check_name=CHECK,
        asset_key=reconciliation_key(code),
        severity=dg.AssetCheckSeverity.ERROR if material else dg.AssetCheckSeverity.WARN,
        metadata={
            "statement": dg.MetadataValue.md(statement_markdown(rows)),
            "unexplained_abs": float(sum((abs(r["unexplained_amount"]) for r in rows), Decimal(0))),
            "with_items": sum(1 for r in rows if r["explained_amount"]),
            "blocking_count": len(material),
        },
    )


def statement_markdown(rows: Iterable[dict[str, Any]]) -> str:
    """The statement of the newest months as a Markdown table: right-aligned, zero as a dash, negatives in brackets."""
    rows = list(rows)
    shown = sorted({r["period"] for r in rows}, reverse=True)[:MONTHS_SHOWN]
    lines = [
        "| Period | Entity | Currency | Source | Target | Variance | Explained | Unexplained | Status |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        if r["period"] not in shown:
            continue
        figures = (r[f"{c}_amount"] for c in ("source", "target", "variance", "explained", "unexplained"))
        cells = " | ".join(money(value, r["minor_unit"]) for value in figures)
        unexplained = "**" if r["unexplained_amount"] else ""
        lines.append(
            f"| {r['period']} | {r['entity_code']} | {r['currency']} | {cells} | "
            f"{unexplained}{r['recon_status']}{unexplained} |"
        )
    return "\n".join(lines)


def money(value: Decimal, digits: int) -> str:
    """Finance's way of writing an amount."""
    if not value:
        return "-"
    text = f"{abs(value):,.{digits}f}"
    return f"({text})" if value < 0 else text
