"""A demo home as its user has it: commands as processes, and the ERP, the store and the published file asked directly.

Nothing here calls the product to find out what the product did, except where a test is about that very answer.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from erp_fixture import REPOSITORY, use_shared_cache

from demo.erp import server
from revenue_assets.sources.tryton_rpc import TrytonRpc

REVENUE = Path(sys.executable).with_name("revenue")
# What a command of the demo may take on a machine that is busy with other things. A limit, not an expectation.
SECONDS_MAX = 1800.0
# Columns that name a publish or a run, and so differ between two runs that came to the same figures.
NOT_FIGURES = ("publish_id", "run_id")


@dataclass(frozen=True)
class Said:
    """How a command ended: exit code, what it printed, what it complained."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return f"exit {self.code}\n{self.out}{self.err}"

    @property
    def is_plain(self) -> bool:
        """No traceback, no Python warning."""
        return "Traceback (most recent call last)" not in self.out + self.err


@dataclass(frozen=True)
class Move:
    """One journal of the ERP as the ERP tells it: lines are (account code, debit, credit, text), in its order;
    `customers` are the names on them."""

    company: str
    description: str
    number: str
    state: str
    journal: str
    lines: tuple[tuple[str, Decimal, Decimal, str], ...]
    customers: tuple[str, ...]


@dataclass(frozen=True)
class Books:
    """What must not change when nothing new happened."""

    batches: dict[str, str]  # batch key -> status
    booked: frozenset[str]  # files of the journal of record
    moves: tuple[Move, ...]  # every journal of the ERP, ours and anybody's
    figures: dict[str, list[tuple[Any, ...]]]  # published table -> rows, sorted

    @property
    def ours(self) -> dict[str, list[Move]]:
        """Batch key -> the ERP's journals that carry it, alone and exact."""
        return {key: [m for m in self.moves if m.description == key] for key in self.batches}


@dataclass(frozen=True)
class DemoHome:
    """One home and ways to use it."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """Of a user's shell: this home, the shared ERP files, and nothing left by other tests."""
        use_shared_cache()
        kept = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        return {**kept, "REVENUE_HOME": str(self.path), "PYTHONPATH": str(REPOSITORY), **self.variables, **more}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`revenue ARGUMENTS` in the background; what it prints goes to `commands.log` of the home."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "commands.log").open("ab") as log:
            log.write(f"\n$ revenue {' '.join(arguments)}\n".encode())
            return subprocess.Popen(
                [str(REVENUE), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path,
                env=self.environment(), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def run(self, *command: str, **more: str) -> Said:
        """A command to its end."""
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.path, env=self.environment(**more), check=False,
            timeout=SECONDS_MAX, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = Said(done.returncode, done.stdout, done.stderr)
        with (self.path / "commands.log").open("a") as log:
            log.write(f"\n$ {' '.join(command)}\n{said.all}")
        return said

    def revenue(self, *arguments: str, **more: str) -> Said:
        """`revenue ARGUMENTS` to its end."""
        return self.run(str(REVENUE), *arguments, **more)

    def batches(self) -> dict[str, str]:
        """Batch key -> status, from the operational store; empty before there is one."""
        path = self.path / "store" / "operational.sqlite"
        if not path.exists():
            return {}
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            return dict(connection.execute("select batch_key, status from posting_batches"))
        except sqlite3.OperationalError:  # the tables are not made yet
            return {}
        finally:
            connection.close()

    def booked(self) -> frozenset[str]:
        """Names of the files of the journal of record."""
        return frozenset(str(p.relative_to(self.path)) for p in (self.path / "journal").rglob("*.parquet"))

    @contextmanager
    def erp(self) -> Iterator[TrytonRpc]:
        """The home's own ERP, started for the question, as a person with all rights."""
        use_shared_cache()
        with (
            server.running(self.path, progress=lambda _: None) as erp,
            TrytonRpc(erp.base_url, erp.database, erp.admin_user, erp.admin_password) as person,
        ):
            yield person

    def moves(self) -> tuple[Move, ...]:
        """Every journal that the ERP has, in all its companies."""
        with self.erp() as person:
            companies = person.search_read("company.company", [], ["party.name"], {})
            return tuple(m for c in companies for m in _moves_of(person, c["id"], c["party."]["name"]))

    def figures(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every published table with all its columns but those that name a publish or a run."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.published() as connection:
            columns = connection.execute(
                "select table_name, list(column_name order by column_index) from duckdb_columns() "
                "where database_name = 'published' and schema_name = 'finance' group by 1"
            ).fetchall()
            for table, names in columns:
                if table != "publish_log":
                    shown = ", ".join(f'"{n}"' for n in names if n not in NOT_FIGURES)
                    query = f"select {shown} from published.finance.{table} order by all"
                    found[table] = connection.execute(query).fetchall()
        return found

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as connection:
            connection.execute(f"attach '{self.path / 'published' / 'finance.duckdb'}' as published (read_only)")
            yield connection

    def books(self) -> Books:
        """All that must not change, asked of the store, the ERP and the published file."""
        return Books(self.batches(), self.booked(), self.moves(), self.figures())

    def kill_when(
        self, process: subprocess.Popen[bytes], reached: Callable[[], bool], how: int = signal.SIGKILL
    ) -> None:
        """Waits until the home shows `reached`, then signals the command's own process, and no other, and reaps it."""
        limit = time.monotonic() + SECONDS_MAX
        while not reached():
            assert process.poll() is None, f"it ended before it could be killed: {self.log()}"
            assert time.monotonic() < limit, f"the moment to kill never came: {self.log()}"
            time.sleep(0.01)
        process.send_signal(how)
        process.wait(SECONDS_MAX)

    def log(self) -> str:
        """The end of what the commands printed."""
        return (self.path / "commands.log").read_text(errors="replace")[-4000:]


def posting_reached(home: DemoHome, seed: int) -> Callable[[], bool]:
    """True once a seeded share of the batches has left `planned`, and a seeded moment more."""
    choice = random.Random(seed)
    share, after = choice.uniform(0.05, 0.6), choice.uniform(0.0, 0.4)

    def reached() -> bool:
        states = list(home.batches().values())
        if sum(state != "planned" for state in states) <= share * len(states):
            return False
        time.sleep(after)
        return True

    return reached


@contextmanager
def altered(file: Path) -> Iterator[str]:
    """One landed record says another amount than was received, for the length of the block; yields the record's id.

    The file keeps its schema, row count and control totals: only what is inside a row differs, as after a hand edit.
    """
    before = file.read_bytes()
    table = pq.read_table(file)
    raw = table.column("raw").to_pylist()
    raw[0] = raw[0].replace('"amount":', '"amount":9', 1)
    assert raw[0] != table.column("raw")[0].as_py(), "no amount to alter"
    place = table.schema.get_field_index("raw")
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(raw, pa.string())), file)
    try:
        yield table.column("_record_id")[0].as_py()
    finally:
        file.write_bytes(before)


def _is_ours(name: str) -> bool:
    prefixes = ("REVENUE_", "DAGSTER_", "DBT_", "ERP_", "CRM_", "STRIPE_", "AVATAX_")
    return name.startswith(prefixes) and name not in ("REVENUE_ERP_VENV", "REVENUE_ERP_CACHE", "REVENUE_TRIALS")


def _moves_of(person: TrytonRpc, company: int, name: str) -> Iterator[Move]:
    context = {"company": company}
    fields = ["description", "number", "state", "journal.code", "origin"]
    invoices = person.search_read("account.invoice", [["company", "=", company]], ["description"], context)
    of_invoice = {f"account.invoice,{row['id']}": row["description"] for row in invoices}
    heads = person.search_read("account.move", [["company", "=", company]], fields, context, order=[["id", "ASC"]])
    lines: dict[int, list[tuple[str, Decimal, Decimal, str]]] = {}
    customers: dict[int, set[str]] = {}
    for line in person.search_read(
        "account.move.line", [["move.company", "=", company]],
        ["move", "account.code", "debit", "credit", "description", "party.name"], context, order=[["id", "ASC"]],
    ):  # fmt: skip
        text = (line["account."]["code"], line["debit"], line["credit"], line["description"] or "")
        lines.setdefault(line["move"], []).append(text)
        if line["party."]:
            customers.setdefault(line["move"], set()).add(line["party."]["name"])
    for head in heads:
        key = of_invoice.get(head["origin"], head["description"]) or ""
        yield Move(
            name, key, head["number"] or "", head["state"], head["journal."]["code"], tuple(lines.get(head["id"], ())),
            tuple(sorted(customers.get(head["id"], ()))),
        )  # fmt: skip
