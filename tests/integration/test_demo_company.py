"""The demo as its user runs it, on one small company: killed, refused, finished, forgotten and built again.

The stages share one home and follow one another as fixtures, each a process of its own:

1. `revenue demo` is killed (SIGKILL) while it lands; a landed amount is then altered, and the next run has to stop
   before it books; with the amount restored, a run is killed while it posts; the run after that finishes.
2. The warehouse, all of Dagster's home and dbt's target are deleted; `revenue demo` builds them again.

`test_demo_trials.py` does this to more companies.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from demo_home import Books, DemoHome, Said, altered, posting_reached

from demo.world.truth import load_truth
from revenue_assets.evidence.verify import Package, trace
from revenue_assets.settings import REPOSITORY, Settings
from revenue_assets.trace import read_trace

SIZE = ("--seed", "5", "--customers", "14", "--months", "2")
CHARGES = "landing/billing_us/charge/day=*/*.parquet"
# What only the ERP knows: its own numbers, and journals that people made there.
ERP_KINDS = ("manual_erp_journal",)

pytestmark = pytest.mark.timeout(3600)  # a busy machine; the stages themselves take a few minutes


@dataclass(frozen=True)
class Refused:
    """The run with an altered amount: what it said, and what was there after it."""

    said: Said
    altered_id: str
    batches: dict[str, str]
    booked: frozenset[str]
    materialized: set[str]


@pytest.fixture(scope="session")
def killed_while_landing(tmp_path_factory: pytest.TempPathFactory) -> DemoHome:
    """A first run that died when some of its files had landed."""
    home = DemoHome(tmp_path_factory.mktemp("company") / "home")
    home.kill_when(home.start("demo", *SIZE), lambda: any(home.path.glob(CHARGES)))
    return home


@pytest.fixture(scope="session")
def refused(killed_while_landing: DemoHome) -> Refused:
    """A run over a landed amount that is not the one received."""
    home = killed_while_landing
    (file,) = home.path.glob(CHARGES)
    with altered(file) as record_id:
        said = home.revenue("demo")
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        known = {key.to_user_string() for key in instance.get_asset_keys()}
        done = {k for k in known if instance.get_latest_materialization_event(dg.AssetKey.from_user_string(k))}
    return Refused(said, record_id, home.batches(), home.booked(), done)


@dataclass(frozen=True)
class Finished:
    """The home after the kills and the run that finished."""

    home: DemoHome
    at_the_kill: dict[str, str]
    said: Said
    books: Books
    status: dict[str, Any]
    truth: dict[str, Any]

    @property
    def settings(self) -> Settings:
        path = self.home.path
        store = f"sqlite:///{path / 'store' / 'operational.sqlite'}"
        return Settings(path, REPOSITORY / "config" / "demo", store, Settings.load().as_of, "local")


@pytest.fixture(scope="session")
def finished(killed_while_landing: DemoHome, refused: Refused) -> Finished:
    """Killed while posting, then run to the end."""
    home = killed_while_landing
    home.kill_when(home.start("demo"), posting_reached(home, seed=5))
    at_the_kill = home.batches()
    said = home.revenue("demo")
    assert said.code == 0, said.all
    status = home.revenue("status", "--json")
    assert status.code == 0, status.all
    truth = load_truth(home.path / "demo" / "world")
    return Finished(home, at_the_kill, said, home.books(), json.loads(status.out), truth)


@pytest.fixture(scope="session")
def rebuilt(finished: Finished) -> Books:
    """The books after everything that can be computed again was deleted, and computed again."""
    home = finished.home
    for path in ("warehouse", "dagster", "dbt"):
        shutil.rmtree(home.path / path)
    said = home.revenue("demo")
    assert said.code == 0, said.all
    return home.books()


# A red blocking check


def test_a_red_check_stops_the_run_and_is_named(refused: Refused) -> None:
    assert refused.said.code == 1, refused.said.all
    assert refused.said.is_plain, refused.said.all
    assert "red check: landing/stripe/charge: contract_holds" in refused.said.all


def test_behind_a_red_check_nothing_is_booked_cut_or_posted(refused: Refused) -> None:
    assert "landing/stripe/charge" in refused.materialized, "it did land"
    assert not {m for m in refused.materialized if m.startswith(("posting/", "subledger/", "finance/", "close/"))}
    assert refused.batches == {}
    assert refused.booked == frozenset()


def test_with_the_fault_removed_it_runs(refused: Refused, finished: Finished) -> None:
    assert finished.books.batches
    found = {row[0] for row in _landed(finished.home, "charge")}
    assert refused.altered_id in found


# Killed and run again


def test_the_kill_struck_in_the_middle_of_posting(finished: Finished) -> None:
    states = Counter(finished.at_the_kill.values())
    assert states["planned"] < sum(states.values()), "nothing was under way"
    assert states["verified"] < sum(states.values()), "all was done"


def test_the_run_after_the_kills_finishes_without_a_traceback(finished: Finished) -> None:
    assert finished.said.is_plain, finished.said.all
    assert "ERP documents with our key" in finished.said.out


def test_every_batch_is_verified_and_in_the_erp_exactly_once(finished: Finished) -> None:
    assert set(finished.books.batches.values()) == {"verified"}
    assert finished.at_the_kill.keys() <= finished.books.batches.keys(), "a batch cut before the kill is gone"
    copies = {key: len(moves) for key, moves in finished.books.ours.items()}
    assert set(copies.values()) == {1}, {key: n for key, n in copies.items() if n != 1}
    assert {m.state for moves in finished.books.ours.values() for m in moves} == {"posted"}


def test_the_erp_holds_nothing_else_but_what_people_made(finished: Finished) -> None:
    ours = {m for moves in finished.books.ours.values() for m in moves}
    others = [m for m in finished.books.moves if m not in ours]
    planted = _references(finished.truth, *ERP_KINDS)
    assert {m.number for m in others} == planted
    assert {m.journal for m in ours}.isdisjoint({m.journal for m in others})


def test_the_erp_holds_the_amounts_that_were_sent(finished: Finished) -> None:
    """Line by line, but for the journals that somebody altered afterwards: those differ in what was planted. An ERP
    cuts the receivable of a document of its own as it likes: there, account by account."""
    altered_keys = _references(finished.truth, "altered_erp_journal")
    assert altered_keys
    own = _own_documents(finished.home)
    for key, sent in _sent(finished.home).items():
        (move,) = finished.books.ours[key]
        held = [(account, debit, credit) for account, debit, credit, _ in move.lines]
        is_equal = _net(held) == _net(sent) if key in own else sorted(held) == sorted(sent)
        assert is_equal is (key not in altered_keys), key


def test_the_erp_has_customers_invoices_and_payments_of_the_entity_that_wants_them(finished: Finished) -> None:
    """In journals of their own, each on the customer that it names, under the name that the CRM has."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select json_extract_string(raw, '$.Id'), json_extract_string(raw, '$.Name') "
            f"from '{finished.home.path}/landing/crm/account/*/*.parquet'"
        ).fetchall()
    names, own = dict(rows), _own_documents(finished.home)
    assert {document["entity_id"] for document in own.values()} == {"DE"}
    assert {document["kind"] for document in own.values()} >= {"invoice", "cash_application"}
    for key, document in own.items():
        (move,) = finished.books.ours[key]
        assert move.customers == (names[document["customer"]["id"]],), key
        assert move.journal == ("REVC" if document["kind"] == "cash_application" else "REVI"), key


def test_the_evidence_of_a_month_verifies_elsewhere_and_answers_for_a_line(finished: Finished, tmp_path: Path) -> None:
    """One command; then a bare Python without the platform, and a line's way to its source within two seconds."""
    said = finished.home.revenue("evidence", "2026-10", "--out", str(tmp_path / "package"))
    assert said.code == 0, said.all
    assert said.is_plain, said.all
    bare = [sys.executable, "-I", "-S", "verify.py"]
    done = subprocess.run(bare, cwd=tmp_path / "package", env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 are in none" in done.stdout
    assert "were verified before" not in done.stdout
    lines = Package(tmp_path / "package").rows("journal/lines.csv")
    sampled = random.Random(11).sample(lines, 10)
    began = time.process_time()
    found = [trace(tmp_path / "package", line["booked_line_id"]) for line in sampled]
    assert (time.process_time() - began) / len(found) < 2
    assert all(f["landed"] and f["batch"]["erp_document_number"] for f in found)


def test_status_ties_out(finished: Finished) -> None:
    status, verified = finished.status, len(finished.books.batches)
    assert status["batches"] == {"verified": verified, "pending": 0, "dead": 0}
    assert status["erp_documents"] == verified
    assert {row["entity"] for row in status["tie_out"]} == {"US", "UK", "DE"}
    for row in status["tie_out"]:
        assert all(isinstance(row[name], str) for name in ("subledger", "erp", "classified", "unexplained")), row
        assert Decimal(row["unexplained"]) == 0, row
        assert Decimal(row["subledger"]) - Decimal(row["erp"]) == Decimal(row["classified"]), row
    assert any(Decimal(row["classified"]) for row in status["tie_out"]), "the journals of others show somewhere"
    assert {p for states in status["periods"].values() for p in states} == {"2026-09", "2026-10"}


def test_the_tie_out_says_what_the_erp_says(finished: Finished) -> None:
    """The ERP side, added up here from the ERP's own journals, account by account."""
    entities = {"Meridian Inc": "US", "Meridian Ltd": "UK", "Meridian GmbH": "DE"}
    balances: Counter[tuple[str, str]] = Counter()
    for move in finished.books.moves:
        for account, debit, credit, _ in move.lines:
            balances[(entities[move.company], account)] += debit - credit  # type: ignore[assignment]
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select entity_id, account_role, account_code from '{finished.home.path}/state/accounts.parquet'"
        ).fetchall()
    codes: dict[tuple[str, str], set[str]] = {}
    for entity, role, code in rows:
        codes.setdefault((entity, role), set()).add(code)
    for row in finished.status["tie_out"]:
        wanted = sum((balances[(row["entity"], c)] for c in codes[(row["entity"], row["account_role"])]), Decimal(0))
        assert Decimal(row["erp"]) == wanted, row


def test_the_score_is_clean(finished: Finished) -> None:
    said = finished.home.run(sys.executable, "-m", "demo.score", "--json")
    assert said.code == 0, said.all
    score = json.loads(said.out)
    assert score["planted"] == score["found"] == len(finished.truth["planted"])
    assert score["planted"] >= 12
    assert score["natural"]["classed"] == score["natural"]["expected"] > 0
    assert (score["misclassified"], score["false_alarms"]) == ([], [])


# Run once more


def test_a_run_from_nothing_but_the_records_posts_nothing(finished: Finished, rebuilt: Books) -> None:
    before = finished.books
    assert rebuilt.batches == before.batches
    assert rebuilt.booked == before.booked
    assert rebuilt.moves == before.moves


def test_a_run_from_nothing_but_the_records_comes_to_the_same_figures(finished: Finished, rebuilt: Books) -> None:
    before = finished.books.figures
    assert rebuilt.figures.keys() == before.keys()
    for table in ("recon_statement", "recon_item", "exception_queue", "tie_out", "rollforward", "posting_line_trace"):
        assert before[table], table
    for table, rows in before.items():
        if table == "period_control":  # a run after the close registers the next open month; the closed ones stay
            assert {tuple(row) for row in rows} <= {tuple(row) for row in rebuilt.figures[table]}
        else:
            assert rebuilt.figures[table] == rows, table


# Trace


def _planted(finished: Finished) -> Iterator[tuple[str, str]]:
    for plant in finished.truth["planted"]:
        assert plant["signals"], plant
        for reference in sorted({s["reference"] for s in plant["signals"]}):
            yield plant["kind"], reference


def test_every_planted_reference_leads_to_source_records_and_its_exception(finished: Finished) -> None:
    for kind, reference in _planted(finished):
        found = read_trace(finished.settings, reference)
        assert found["exceptions"], (kind, reference)
        sources = [n["id"] for n in found["nodes"] if n["type"] == "source_record" and n["direction"] == "up"]
        assert sources, (kind, reference)
        if kind in ERP_KINDS:  # nothing of ours led to a journal that a person made: what was read back is its source
            assert {s.rpartition("/")[0] for s in sources} == {"erp/move"}, (kind, reference, sources)


def test_what_was_booked_leads_to_erp_documents_and_back_to_the_source(finished: Finished) -> None:
    """Which references were booked is asked of the journal of record, not of the trace."""
    numbers = {move.number: key for key, moves in finished.books.ours.items() for move in moves}
    booked = _booked_documents(finished.home)
    followed = 0
    for kind, reference in _planted(finished):
        if reference not in booked and kind != "altered_erp_journal":
            continue
        found = read_trace(finished.settings, reference)
        documents = {n["id"] for n in found["nodes"] if n["type"] == "erp_document"}
        assert documents, (kind, reference)
        assert documents <= numbers.keys(), (kind, reference, documents - numbers.keys())
        wanted = booked.get(reference, {reference})
        assert {numbers[d] for d in documents} >= wanted, (kind, reference)
        back = read_trace(finished.settings, sorted(documents)[0])
        up = {(n["type"], n["id"]) for n in back["nodes"] if n["direction"] == "up"}
        sources = {n["id"] for n in found["nodes"] if n["type"] == "source_record" and n["direction"] == "up"}
        assert sources & {i for t, i in up if t == "source_record"}, (kind, reference, documents)
        followed += 1
    assert followed >= 5


def test_source_records_of_a_chain_are_in_landing(finished: Finished) -> None:
    kind, reference = next((k, r) for k, r in _planted(finished) if k == "duplicate_invoice")
    found = read_trace(finished.settings, reference)
    sources = {n["id"] for n in found["nodes"] if n["type"] == "source_record"}
    assert any(s.endswith(f"/{reference}") for s in sources), (kind, sources)
    for source in sources:
        instance, name, record = source.split("/", 2)
        assert record in {row[0] for row in _landed(finished.home, name, instance)}, source


def test_trace_on_the_command_line_is_the_same_chain(finished: Finished) -> None:
    reference = next(r for k, r in _planted(finished) if k == "refund_without_credit_note")
    said = finished.home.revenue("trace", reference, "--json")
    assert said.code == 0, said.all
    nodes = {(n["type"], n["id"]) for n in json.loads(said.out)["nodes"]}
    assert nodes == {(n["type"], n["id"]) for n in read_trace(finished.settings, reference)["nodes"]}
    unknown = finished.home.revenue("trace", "nonsense")
    assert unknown.code == 1, unknown.all
    assert unknown.is_plain, unknown.all
    assert "'nonsense' is in no chain" in unknown.err


def test_secrets_are_in_no_log(finished: Finished) -> None:
    """Keys of the vendors and passwords of the ERP stand in their own files and nowhere else in the home."""
    secrets = {
        value.encode()
        for name in ("secrets.json", "erp/credentials.json")
        for value in _texts(json.loads((finished.home.path / "demo" / name).read_text()))
        if len(value) >= 16
    }
    assert secrets
    for folder in ("logs", "dagster", "dbt", "landing", "quarantine", "state", "store", "published", "commands.log"):
        path = finished.home.path / folder
        files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        for file in files:
            content = file.read_bytes()
            assert not [s for s in secrets if s in content], file


def _landed(home: DemoHome, name: str, source: str = "*") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        pattern = home.path / "landing" / source / name / "*" / "*.parquet"
        query = f"select _record_id from read_parquet('{pattern}', hive_partitioning = false)"
        return connection.execute(query).fetchall()


def _references(truth: dict[str, Any], *kinds: str) -> set[str]:
    return {s["reference"] for p in truth["planted"] if p["kind"] in kinds for s in p["signals"]}


def _sent(home: DemoHome) -> dict[str, list[tuple[str, Decimal, Decimal]]]:
    """Batch key -> (account, debit, credit) of its lines as the store holds them."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select batch_key, account_code, debit_fc, credit_fc from '{home.path}/state/posting_batch_lines.parquet'"
        ).fetchall()
    lines: dict[str, list[tuple[str, Decimal, Decimal]]] = {}
    for key, account, debit, credit in rows:
        lines.setdefault(key, []).append((account, Decimal(debit).scaleb(-2), Decimal(credit).scaleb(-2)))
    return lines


def _own_documents(home: DemoHome) -> dict[str, dict[str, Any]]:
    """Batch key -> document, of what is no journal in the ERP."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select batch_key, document_json from '{home.path}/state/posting_batches.parquet'"
        ).fetchall()
    return {key: document for key, text in rows if (document := json.loads(text)).get("kind")}


def _net(lines: Iterable[tuple[str, Decimal, Decimal]]) -> dict[str, Decimal]:
    net: Counter[str] = Counter()
    for account, debit, credit in lines:
        net[account] += debit - credit  # type: ignore[assignment]
    return {account: Decimal(amount) for account, amount in net.items() if amount}


def _booked_documents(home: DemoHome) -> dict[str, set[str]]:
    """Document or sale -> keys of the batches that its booked lines are in."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"""
            with lines as (
                select l.document_id, l.correlation_id, m.batch_key
                from '{home.path}/journal/lines/*.parquet' as l
                inner join '{home.path}/journal/members/*.parquet' as m using (booked_line_id)
            )
            select document_id, list(distinct batch_key) from lines where document_id is not null group by 1
            """
        ).fetchall()
    return {name: set(keys) for name, keys in rows}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
