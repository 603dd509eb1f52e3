"""The page that a person opens first: what is in the package, how to check it, and what will be asked about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from revenue_assets.evidence.books import Collected, Files, Rows

ABOUT = {
    "journal/lines.csv": "every journal line booked into the period; debit positive, minor units",
    "journal/bookings.csv": "the bookings they came with: file, hash, control totals",
    "journal/booking_periods.csv": "rows, debits and credits of each booking in this period",
    "posting/batches.csv": "every document for the ERP: key, content hash, state, ERP number",
    "posting/documents/": "each document as it was sent, byte by byte; the key is made of it",
    "posting/members.csv": "which booked line is in which line of which document",
    "posting/attempts.csv": "every intent, request, look-up and read-back",
    "posting/read_backs.csv": "each document as the ERP had it when it was read back",
    "controls/periods.csv": "state of the period per entity",
    "controls/period_history.csv": "who changed it, when, why, who approved",
    "controls/close_<entity>.json": "what a closed period was closed with: trial balance, totals, variances, rules",
    "controls/approvals.csv": "decisions of second persons",
    "controls/approval_limits.csv": "above which total a second person decides (as configured now)",
    "controls/approvers.csv": "who may decide, up to what (as configured now)",
    "controls/exceptions.csv": "what a person had to look at: owner, age, next step, outcome",
    "rules/versions.csv": "the rule sets behind the lines: hash, author, time",
    "rules/changes.csv": "what changed from one version to the next",
    "rules/<hash>.json": "each rule set as it was stored",
    "sources/landing_batches.csv": "every file that landed: rows, hash, control totals",
    "sources/events.csv": "the events behind the lines",
    "sources/records.csv": "the landed records behind the events: batch, file, content hash",
    "checks/asset_checks.csv": "the newest result of every check",
    "checks/reconciliations.csv": "the reconciliations of the period as published",
    "audit/links.csv": "the hash chain of all state changes",
    "audit/entries.csv": "what changed, by whom: the entries about what is in this package",
    "audit/anchor.jsonl": "heads of the chain that were kept outside the store",
}
LEFT_OUT = """\
- The content of landed records: `sources/records.csv` has the hash of each, and the file it lies in.
- Lines of other periods and entities. A booking may have some; its totals cover all of them.
- Rates and master data beyond what the rules hold, and passwords or keys of any kind.
"""


def remarks(books: Collected, checks: Rows, statements: Rows, files: Files) -> list[str]:
    """What will be asked first, as sentences; empty if nothing sticks out."""
    found = []
    states = Counter(b["status"] for b in books.batches)
    verified = states.pop("verified", 0)
    if states:
        listed = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in sorted(states.items()))
        found.append(f"{verified} batches are verified in the ERP; not yet: {listed}.")
    in_a_batch = files.rows["posting/members.csv"]
    if len(books.lines) > in_a_batch:
        found.append(f"{len(books.lines) - in_a_batch} booked lines are in no batch of the period.")
    results = Counter(row["result"] for row in checks)
    if set(results) - {"succeeded"}:
        found.append("Checks: " + ", ".join(f"{n} {result}" for result, n in sorted(results.items())) + ".")
    unexplained = [row for row in statements if row["unexplained_amount"]]
    if unexplained:
        found.append(f"{len(unexplained)} reconciliation statements have an unexplained rest.")
    open_periods = [p for p in books.periods if p["status"] != "hard_closed"]
    if open_periods:
        listed = ", ".join(f"{p['entity_id']} ({p['status'].replace('_', ' ')})" for p in open_periods)
        found.append(f"The period is not closed for {listed}: its figures may still change.")
    return found


def page(
    company: str, period: str, entities: Sequence[str], books: Collected, files: Files, found: Sequence[str]
) -> str:
    """Markdown. Nothing of it depends on when the package was made."""
    lines = [
        f"# Evidence: {company}, {period}",
        "",
        f"Entities: {', '.join(entities)}. Who made it and when: `manifest.json`.",
        "",
        "Check it: `python verify.py` (any Python from 3.9 on, nothing else, no network; `--public-key audit.pub` "
        "wants manifest and anchors signed). One line down to its source: `python verify.py --line BOOKED_LINE_ID`.",
        "",
        "Amounts are whole minor units. A cell that begins with ' is a text that a spreadsheet would have run.",
        "",
        "## What will be asked",
        "",
        *([f"- {sentence}" for sentence in found] or ["Nothing sticks out."]),
        "",
        "## Debits by entity and event, functional currency, minor units",
        "",
        "| entity | currency | event | lines | debits |",
        "|---|---|---|---|---|",
        *_totals(books.lines),
        "",
        "## Files",
        "",
        "| file | rows | what it is |",
        "|---|---|---|",
        *(f"| {name} | {files.rows.get(name, '')} | {about} |" for name, about in ABOUT.items()),
        "",
        "## What is not here",
        "",
        LEFT_OUT,
    ]
    return "\n".join(lines)


def _totals(lines: Rows) -> list[str]:
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for x in lines:
        mine = sums[x["entity_id"], x["functional_currency"], x["event_type"]]
        mine[0] += 1
        mine[1] += max(x["amount_fc"], 0)
    return [
        f"| {entity} | {currency} | {event} | {count} | {amount} |"
        for (entity, currency, event), (count, amount) in sorted(sums.items())
    ]
