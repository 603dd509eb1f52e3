"""`policy diff` for a person: rules, entries, accounts, in that order."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console
from rich.table import Table

from revenue_assets.domain.money import to_major
from revenue_assets.policy.diff import Difference
from revenue_assets.state import currency_exponents

WIDTH_MIN = 110


def print_difference(difference: Difference, console: Console | None = None) -> None:
    """Tables on the console; amounts in major units of the transaction currency, debit positive."""
    console = console or Console()
    console.width = max(console.width, WIDTH_MIN)  # figures are never cut; a narrow terminal wraps them

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    say(f"old  {difference.old_hash[:12]}  {difference.old}")
    say(f"new  {difference.new_hash[:12]}  {difference.new}")
    if difference.is_equal:
        say("The rules are the same: no journal can differ, and nothing was built.")
        return
    say("\nRules")
    for change in difference.rules:
        before, after = (value if value is not None else "(not set)" for value in (change.old, change.new))
        say(f"  {change.file}.yaml  {change.row}  {change.key}: {before} -> {after}")
    say(f"\nEntries, history up to {difference.as_of}")
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for row in difference.entries:
        counts[row["kind"], row["booked"]] += row["entries"]
    for kind in ("changed", "added", "removed"):
        booked, fresh = counts[kind, True], counts[kind, False]
        if booked or fresh:
            what = "would be reversed" if kind == "removed" else "would be reversed and replaced"
            later = "would simply not be booked" if kind == "removed" else "would be booked under the new rules"
            say(f"  {kind:8} {booked + fresh:6}   booked already, {what}: {booked}; not booked yet, {later}: {fresh}")
    if not counts:
        say("  No journal entry would differ.")
    for row in difference.refused:
        say(f"  {row['entity']}: events held back as {row['class']}: {row['old']} -> {row['new']}")
    if difference.accounts:
        console.print(_accounts(difference))


def _accounts(difference: Difference) -> Table:
    exponents = currency_exponents()
    table = Table(show_edge=False, pad_edge=False)
    for name in ("entity", "period", "account role", "currency"):
        table.add_column(name, no_wrap=True)
    for name in ("old", "new", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in difference.accounts:
        digits = exponents.get(row["currency"], 2)
        figures = [f"{to_major(row[f'{n}_tc'], digits):,.{digits}f}" for n in ("old", "new", "difference")]
        if row["difference_tc"] == 0:
            figures[2] = f"0 ({row['difference_fc']} minor units functional)"
        table.add_row(row["entity"], row["period"], row["account_role"], row["currency"], *figures)
    return table
