"""P15: conservation. One row among ten thousand is deleted, repeated or altered at one hop; the checks that ship must
turn red and name that very row, and stay green on what nobody touched.

Hops: landing file, journal of record, members of batches, batch lines, the ERP's document. The ledger is booked, cut
and snapshot by the code that ships; the checks are the project's own SQL (its readers pointed at the changed table).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import jinja2
from ground import Ground, Outcome
from store_kit import AS_OF, House, invoice, recognition

from revenue_assets.posting import steps
from revenue_assets.posting.batches import cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.erp.documents import compare
from revenue_assets.posting.erp.port import Journal, PostedDocument
from revenue_assets.store import outbox
from revenue_assets.store.engine import StoreError
from revenue_assets.store.export import export_state
from revenue_assets.store.ledger import FileStamp
from revenue_assets.store.manifest import bookings, cuts

CHECKS = Path(__file__).parents[2] / "dbt_project" / "tests"
NAMES = (
    "assert_booked_lines_keep_their_place", "assert_booked_lines_are_posted_once",
    "assert_batch_lines_sum_their_members",
)  # fmt: skip
ROWS = 10_000
# One clean run for so many changes.
CLEAN_EVERY = 5
KEYS = {"booked": "booked_line_id", "members": "booked_line_id", "batch_lines": "batch_key || '/' || line_no"}


@dataclass
class Ledger:
    """The files as tables of one connection, the checks as SQL over them, and the documents."""

    connection: duckdb.DuckDBPyConnection
    checks: dict[str, str]
    journals: list[Journal]

    def found(self) -> set[str]:
        """Everything that the red checks name: line ids, batch keys with their lines."""
        out: set[str] = set()
        for name in NAMES:
            cursor = self.connection.execute(self.checks[name])
            columns = [column[0] for column in cursor.description or []]
            for row in cursor.fetchall():
                values = dict(zip(columns, row, strict=True))
                out |= {str(values[c]) for c in ("booked_line_id", "batch_key") if values.get(c)}
                if values.get("line_no") is not None:
                    out.add(f"{values['batch_key']}/{values['line_no']}")
        return out


def ledger(house: House, rows: int) -> Ledger:
    """About `rows` booked lines in hundreds of batches, and their snapshot."""
    families = ("platform", "services", None)
    house.should(
        *[
            make(
                f"{name}{n}", f"2026-0{1 + n % 3}-{1 + n % 27:02d}", 100 + 7 * n, policy=f"policy-{n % 40}",
                family=families[n % 3], entity=("US", "UK")[n % 2],
            )
            for n in range(rows // 4)
            for name, make in (("i", invoice), ("r", recognition))
        ]
    )  # fmt: skip
    book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    cut(house.store, house.journal, house.state, AS_OF, tenant="t")
    export_state(house.store, house.state)
    with house.store.read() as connection:
        batches = [outbox.get(connection, row["batch_key"]) for row in outbox.all_batches(house.store)]
    journals = [steps.journal_of(batch, 40) for batch in batches]
    connection = duckdb.connect()
    connection.execute(f"create table booked as from read_parquet('{house.journal.lines}/*.parquet')")
    connection.execute(f"create table members as from read_parquet('{house.journal.members}/*.parquet')")
    connection.execute(f"create table batch_lines as from '{house.state}/posting_batch_lines.parquet'")
    connection.execute(f"create table batches as from '{house.state}/posting_batches.parquet'")
    connection.execute(f"attach '{house.warehouse}' as warehouse (read_only)")
    connection.execute(
        "create table rec_computed_lines as select distinct entry_key, entry_hash, entity_id, account_role, currency, "
        "amount_tc, amount_fc from warehouse.subledger.journal_lines"
    )
    return Ledger(connection, {name: rendered(name) for name in NAMES}, journals)


def rendered(name: str) -> str:
    """The check's SQL with its readers pointed at the tables of `ledger`."""
    tables = {"posting_batch_lines": "batch_lines", "posting_batches": "batches"}
    environment = jinja2.Environment(autoescape=False)
    environment.globals.update(
        config=lambda **_: "", ref=lambda model: model,
        state=lambda table: tables[table], booked_lines=lambda: "booked", posting_members=lambda: "members",
    )  # fmt: skip
    return environment.from_string((CHECKS / f"{name}.sql").read_text()).render()


def _altered(dice: random.Random, table: str) -> str:
    by = dice.choice((1, -1, dice.randint(2, 10**9)))
    if table == "booked":
        return dice.choice((f"amount_fc = amount_fc + {by}", f"amount_tc = amount_tc + {by}", "account_role = 'cash'"))
    if table == "members":
        other = "(select max(batch_key) from batches b where b.batch_key <> members.batch_key)"
        return dice.choice((f"batch_key = {other}", "batch_line_no = 3 - batch_line_no", "batch_line_no = 99",
                            f"booked_line_id = '{dice.randrange(16**32):032x}'"))  # fmt: skip
    side = f"debit_fc = debit_fc + {abs(by)}, credit_fc = credit_fc"
    return dice.choice((side, f"amount_tc = amount_tc + {by}", "member_count = member_count + 1"))


def one_row(ground: Ground, count: int) -> Outcome:
    """`count` changes of one row, each in a transaction that is rolled back, and a clean run now and then."""
    result, house = Outcome(), ground.house()
    books = ledger(house, ROWS)
    rows = books.connection.execute("select count(*) from booked").fetchall()[0][0]
    result.facts["rows"] = rows
    files = FilesOf(house)
    while result.reached < count and not ground.is_over:
        if result.reached % CLEAN_EVERY == 0:
            alarms = books.found()
            result.check(not alarms, f"a false alarm: {sorted(alarms)[:3]}")
            result.count("clean runs")
        result.reached += 1
        if ground.dice.random() < 0.15:
            _at_the_erp(ground.dice, books.journals, result)
        else:
            _in_the_files(ground.dice, books, result)
    files.check(ground.dice, result)
    books.connection.close()
    house.store.close()
    return result


def _in_the_files(dice: random.Random, books: Ledger, result: Outcome) -> None:
    table, how = dice.choice(sorted(KEYS)), dice.choice(("deleted", "repeated", "altered"))
    sql = books.connection
    ids = sql.execute(f"select rowid, {KEYS[table]} from {table}").fetchall()
    row, key = dice.choice(ids)
    change = {
        "deleted": f"delete from {table} where rowid = {row}",
        "repeated": f"insert into {table} select * from {table} where rowid = {row}",
        "altered": f"update {table} set {_altered(dice, table)} where rowid = {row}",
    }[how]
    sql.execute("begin")
    sql.execute(change)
    found = books.found()
    sql.execute("rollback")
    result.count(f"{table} {how}")
    result.check(bool(found), f"not caught: {change}")
    # A batch line that is gone is named by its batch, with how many lines it has left.
    named = key in found or (table == "batch_lines" and key.partition("/")[0] in found)
    result.check(named, f"row {key} not named by {sorted(found)[:4]}: {change}")


def _at_the_erp(dice: random.Random, journals: Sequence[Journal], result: Outcome) -> None:
    """A line of the ERP's document: the read-back names it."""
    journal = dice.choice(journals)
    lines, how = list(journal.lines), dice.choice(("deleted", "repeated", "altered"))
    place = dice.randrange(len(lines))
    line = lines[place]
    if how == "deleted":
        lines.pop(place)
    elif how == "repeated":
        lines.append(line)
    else:
        by = dice.randint(1, 10**9)
        lines[place] = replace(line, debit=line.debit + by if line.debit else 0,
                               credit=line.credit + by if line.credit else 0)  # fmt: skip
    held = PostedDocument(
        journal.key, "1", "1", "posted", journal.company, journal.accounting_date, journal.period,
        journal.functional_currency, tuple(lines),
    )  # fmt: skip
    differences = [str(difference) for difference in compare(journal, held)]
    result.count(f"ERP line {how}")
    result.check(bool(differences), f"not caught: line {line.line_no} of {journal.key} {how}")
    names = (f"line {line.line_no}:", line.account_code)
    result.check(any(name in words for words in differences for name in names), f"not named: {line} by {differences}")


class FilesOf:
    """The journal's own files: whatever changes them, the manifest names the file."""

    def __init__(self, house: House) -> None:
        self.journal = house.journal
        with house.store.read() as connection:
            booked: dict[str, FileStamp] = {b.booking_id: b.stamp for b in bookings(connection)}
            self.stamps = {self.journal.lines: booked, self.journal.members: cuts(connection)}

    def check(self, dice: random.Random, result: Outcome) -> None:
        """Once per folder and change: a row less, a row twice, a row altered, written as a valid Parquet file."""
        changes: dict[str, Callable[[str, int], str]] = {
            "deleted": lambda t, n: f"select * from {t} where rowid <> {n}",
            "repeated": lambda t, n: f"select * from {t} union all select * from {t} where rowid = {n}",
            "altered": lambda t, n: f"select * replace (booked_line_id || 'x' as booked_line_id) from {t}",
        }
        for folder, stamps in self.stamps.items():
            self.journal.check_files(folder, stamps, deep=True)
            for name, change in changes.items():
                file = folder / f"{next(iter(stamps))}.parquet"
                whole = file.read_bytes()
                with duckdb.connect() as connection:
                    connection.execute(f"create table t as from '{file}'")
                    connection.execute(f"copy ({change('t', dice.randrange(100))}) to '{file}' (format parquet)")
                result.count(f"file of {folder.name} {name}")
                try:
                    self.journal.check_files(folder, stamps, deep=True)
                    result.check(False, f"not caught: {folder.name} file with a row {name}")
                except StoreError as error:
                    result.check(file.name in str(error), f"the file is not named: {error}")
                file.write_bytes(whole)
