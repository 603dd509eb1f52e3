"""The warehouse is disposable, and a closed period computed again is the same: wipes, kills and re-runs of one home.

    python tests/recovery/run.py --home HOME --wipes 20 --reruns 100 [--from 0]

Each trial kills a dbt build (SIGKILL, the whole process group) at a seeded moment of a copy of HOME, deletes the
warehouse or leaves what the kill left, and builds again elsewhere: another hash seed, time zone, language, number of
threads, and the rows of every landed file in another order. A re-run does the same without the kill. Every table of
every schema must have the rows it had, and closing each closed month again must find the snapshot it was closed with.
HOME is one of the demo's (`revenue demo`), with closed months; it is not changed. A seed that fails is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from revenue_assets.close.close import close_period
from revenue_assets.domain.calendars import VARIABLE, variable
from revenue_assets.domain.config import load_company
from revenue_assets.domain.periods import HARD_CLOSED
from revenue_assets.project import DBT_EXECUTABLE, PROJECT_DIR
from revenue_assets.publish.duckdb_file import table_hash
from revenue_assets.settings import REPOSITORY, Settings
from revenue_assets.store import audit, periods
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

COPIED = ("landing", "quarantine", "state", "journal", "store", "audit", "drop", "demo/world.json")
ZONES = ("UTC", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Pacific/Pago_Pago")
LANGUAGES = ("C.UTF-8", "tr_TR.UTF-8", "de_DE.UTF-8", "C")


@dataclass(frozen=True)
class Bench:
    """A copy of a home, and the environment its builds have."""

    settings: Settings
    environment: dict[str, str]

    @classmethod
    def of(cls, home: Path, folder: Path) -> Bench:
        for name in COPIED:
            source, target = home / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            elif source.exists():
                shutil.copy(source, target)
        as_of = json.loads((home / "demo" / "world.json").read_text())["as_of"]
        os.environ |= {"REVENUE_HOME": str(folder), "REVENUE_AS_OF": as_of}
        os.environ.pop("REVENUE_STORE_URL", None)
        settings = Settings.load()
        settings.prepare()
        company = load_company(settings.config)
        own = {"REVENUE_GROUP_CURRENCY": company.group_currency}
        own[VARIABLE] = variable((e.id, e.periods) for e in company.entities)
        return cls(settings, {**os.environ, **settings.export(), **own})

    def build(self, dice: random.Random | None = None) -> subprocess.Popen[str]:
        """Starts one `dbt run` of all models, in a session of its own; with `dice` in circumstances of their choice."""
        where, threads = {}, "2"
        if dice is not None:
            language = dice.choice(LANGUAGES)
            where = {"PYTHONHASHSEED": str(dice.randrange(1, 10_000)), "TZ": dice.choice(ZONES),
                     "LANG": language, "LC_ALL": language}  # fmt: skip
            threads = str(dice.choice((1, 2, 3, 4)))
        folders = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target", "local"]
        return subprocess.Popen(
            [str(DBT_EXECUTABLE), "run", "--threads", threads, *folders], env={**self.environment, **where},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def built(self, dice: random.Random | None = None) -> dict[str, tuple[int, str]]:
        """Builds to the end; the fingerprint of every table."""
        process = self.build(dice)
        said, _ = process.communicate()
        if process.returncode:
            raise AssertionError("dbt run failed:\n" + "\n".join(said.splitlines()[-20:]))
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
            names = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal "
                "union all select schema_name, view_name from duckdb_views() where not internal order by all"
            ).fetchall()
            tables = [f'"{schema}"."{name}"' for schema, name in names]
            counts = {t: connection.execute(f"select count(*) from {t}").fetchall()[0][0] for t in tables}
            return {t: (counts[t], table_hash(connection, t)) for t in tables}

    def closings(self) -> str:
        """One hash over the snapshots of every closed month; AssertionError if one is not what it was closed with."""
        settings = self.settings
        found = []
        with contextlib.closing(open_store(settings.store_url)) as store:
            for p in periods.all_periods(store):
                if p["status"] == HARD_CLOSED:
                    report = close_period(
                        store, Journal(settings.journal), settings.warehouse, settings.state, p["period"],
                        [p["entity_id"]], "recovery trial", as_of=settings.as_of,
                    )  # fmt: skip
                    assert report.status == "unchanged", report.sentence()
                    found.append((p["entity_id"], p["period"], report.snapshots[p["entity_id"]]))
        assert found, "the home has no closed month"
        return audit.sha256(sorted(found))

    def shuffle(self, dice: random.Random) -> None:
        """The rows of every landed file in another order."""
        for file in sorted(self.settings.landing.rglob("*.parquet")):
            table = pq.read_table(file)
            order = list(range(table.num_rows))
            dice.shuffle(order)
            pq.write_table(table.take(pa.array(order, pa.int64())), file)

    def kill(self, dice: random.Random, seconds: float) -> str:
        """A build that dies at a moment of its life; says what it left."""
        process = self.build()
        time.sleep(dice.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        ended = "finished first" if process.returncode == 0 else "killed"
        warehouse = self.settings.warehouse
        log = warehouse.with_name(warehouse.name + ".wal").exists()
        return f"{ended}, {'no file' if not warehouse.exists() else 'a file with a log' if log else 'a file'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--wipes", type=int, default=20)
    parser.add_argument("--reruns", type=int, default=100)
    parser.add_argument("--from", dest="first", type=int, default=0, help="first seed")
    given = parser.parse_args()
    os.environ["REVENUE_CONFIG"] = os.environ.get("REVENUE_CONFIG", str(REPOSITORY / "config" / "demo"))
    failed, left, hashes = [], Counter[str](), set[str]()
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        bench = Bench.of(given.home.absolute(), Path(folder) / "home")
        began = time.monotonic()
        reference, closed = bench.built(), bench.closings()
        seconds = time.monotonic() - began
        hashes.add(audit.sha256([reference, closed]))
        print(f"{len(reference)} tables, {sum(n for n, _ in reference.values()):,} rows; a build takes {seconds:.0f} s",
              flush=True)  # fmt: skip
        for number in range(given.wipes + given.reruns):
            seed, wipe = given.first + number, number < given.wipes
            dice = random.Random(f"recovery {seed} {wipe}")
            words = "re-run"
            if wipe:
                words = bench.kill(dice, seconds)
                left[words] += 1
            if not wipe or dice.random() < 0.7:
                for file in bench.settings.warehouse.parent.glob("revenue.duckdb*"):
                    file.unlink()
                words += ", deleted"
            bench.shuffle(dice)
            try:
                found = bench.built(dice)
                wrong = sorted(t for t in reference.keys() | found.keys() if reference.get(t) != found.get(t))
                hashes.add(audit.sha256([found, bench.closings()]))
                assert not wrong, f"other rows in {', '.join(wrong[:10])}"
            except AssertionError as error:
                failed.append(seed)
                print(f"seed {seed}: {words}: WRONG: {error}", flush=True)
            else:
                print(f"seed {seed}: {words}: the same", flush=True)
    print(f"{given.wipes} wipes {dict(left)}, {given.reruns} re-runs")
    print(f"distinct hashes {len(hashes)}, wrong {len(failed)}")
    return 1 if failed or len(hashes) != 1 else 0


if __name__ == "__main__":
    sys.exit(main())
