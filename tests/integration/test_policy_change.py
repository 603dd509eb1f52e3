"""A policy changes in the middle of the year: real builds, real store, real booking over a small landed history.

One pair of builds for the whole module. First `policy diff` says what would happen; then it is adopted and happens.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from revenue_assets.assets.warehouse import warehouse_assets
from revenue_assets.cli import main
from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.load import write_empty_sources, write_landing
from revenue_assets.domain.config import Company, load_company
from revenue_assets.policy.diff import Difference, build_both, figures
from revenue_assets.policy.report import print_difference
from revenue_assets.policy.rules import rule_changes
from revenue_assets.posting.booking import BookingReport, book
from revenue_assets.project import PROJECT_DIR, dbt_project
from revenue_assets.scaffold import scaffold
from revenue_assets.settings import REPOSITORY, Settings
from revenue_assets.state import write_config_state
from revenue_assets.store import periods, policies
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.export import export_state
from revenue_assets.store.ledger import Journal

FEBRUARY, MARCH = dt.date(2026, 2, 28), dt.date(2026, 3, 31)
CURRENCY = {"US": "USD", "DE": "EUR"}


def invoice(entity: str, number: str, day: str, amount: int) -> dict[str, Any]:
    """A quarter of a platform subscription from 1 January."""
    line = {
        "line_id": f"{number}-1", "amount": amount, "product_family": "platform",
        "service_start": "2026-01-01", "service_end": "2026-04-01",
    }  # fmt: skip
    data = {"invoice_id": number, "customer_id": "C1", "currency": CURRENCY[entity], "lines": [line]}
    return {"id": number, "type": "invoice.posted", "entity": entity, "time": f"{day}T18:00:00Z", "data": data}


EVENTS = [invoice("US", "INV-US", "2026-01-15", 90000)]
# The German invoice comes from a system of the company's own, through a dbt model of its own (`revenue init`).
OWN_RECORDS = """
    select
        'DE' as entity_id, 'INV-DE' as invoice_id, 'C1' as customer_id, 'EUR' as currency, 'platform' as product_family,
        45000 as net_amount_minor, date '2026-01-01' as service_start, date '2026-04-01' as service_end,
        timestamp '2026-01-15 12:00:00' as invoiced_at, timestamp '2026-01-15 12:00:00' as recorded_at
"""


@dataclass
class Home:
    settings: Settings
    before: Company
    after: Company
    warehouses: tuple[Path, Path]

    def difference(self, *only: str) -> Difference:
        figured = figures(self.settings, self.warehouses, self.before, self.after, only)
        hashes = self.before.content_hash, self.after.content_hash
        return Difference("old", "new", *hashes, self.settings.as_of, rule_changes(self.before, self.after), *figured)

    def book(self, store: Store, company: Company, as_of: dt.date) -> BookingReport:
        """What a run under `company` does: masters, rules by hash, booking."""
        write_config_state(company, self.settings.state)
        policies.put(store, company.rules, company=company.id, author="ana")
        warehouse = self.warehouses[0 if company is self.before else 1]
        return book(store, Journal(self.settings.journal), warehouse, self.settings.state, as_of)

    def lines(self, where: str) -> list[dict[str, Any]]:
        query = f"select * from read_parquet('{self.settings.journal}/lines/*.parquet') where {where} order by all"
        with duckdb.connect() as connection:
            return connection.execute(query).df().to_dict("records")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("policy")
    before = Path(shutil.copytree(REPOSITORY / "config" / "demo", root / "old"))
    after = Path(shutil.copytree(before, root / "new"))
    text = (after / "policy.yaml").read_text()
    assert "recognition: ratable_daily" in text
    # The first row is the US's; the other entities keep their policy.
    (after / "policy.yaml").write_text(text.replace("ratable_daily", "ratable_monthly_equal", 1))
    scaffold(root / "own")
    model = root / "own" / "dbt" / "models" / "staging" / "own" / "stg_own__events.sql"
    head, rest = model.read_text().split("with records as (", 1)
    model.write_text(f"{head}with records as ({OWN_RECORDS})" + rest.split("where 1 = 0\n)", 1)[1])
    store = f"sqlite:///{root / 'home' / 'store' / 'o.sqlite'}"
    settings = Settings(root / "home", before, store, MARCH, "local", root / "own" / "dbt")
    entities = [{"id": entity, "time_zone": "UTC"} for entity in CURRENCY]
    case = Case("policy", "policy", "", root, entities, [], [], EVENTS, {}, frozenset(CURRENCY))
    write_empty_sources(PROJECT_DIR, settings.landing, settings.journal)
    write_landing([case], settings.landing)
    work = root / "work"
    work.mkdir()
    companies = load_company(before), load_company(after)
    return Home(settings, *companies, build_both(settings, *companies, work))


@pytest.fixture(scope="module")
def adopted(home: Home) -> dict[str, Any]:
    """Booked to February under the old rules, January closed, then March under the new ones."""
    (home.settings.home / "store").mkdir(parents=True)
    store = open_store(home.settings.store_url)
    unbooked = home.difference()
    first = home.book(store, home.before, FEBRUARY)
    file = home.settings.journal / "lines" / f"{first.booking_id}.parquet"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for entity in CURRENCY:
        periods.soft_close(store, entity, "2026-01", "controller", "month end")
    export_state(store, home.settings.state)
    foreseen = home.difference()
    second = home.book(store, home.after, MARCH)
    third = home.book(store, home.after, MARCH)
    yield {
        "store": store, "first": first, "second": second, "third": third, "file": file, "digest": digest,
        "unbooked": unbooked, "foreseen": foreseen,
    }  # fmt: skip
    store.close()


def test_booked_bytes_stay_and_the_correction_is_linked(home: Home, adopted: dict[str, Any]) -> None:
    assert hashlib.sha256(adopted["file"].read_bytes()).hexdigest() == adopted["digest"]
    first, second = adopted["first"], adopted["second"]
    assert (first.entries_reversed, second.entries_reversed) == (0, 2)
    assert adopted["third"].booking_id is None, "adopting the same version again books nothing"
    reversals = home.lines("sign = -1")
    assert {r["reverses_booking_id"] for r in reversals} == {first.booking_id}
    assert {(r["entity_id"], r["event_type"]) for r in reversals} == {("US", "revenue.recognised")}
    for r in reversals:
        (original,) = home.lines(
            f"sign = 1 and booking_id = '{r['reverses_booking_id']}' and line_key = '{r['line_key']}' "
            f"and entry_hash = '{r['entry_hash']}'"
        )
        assert r["amount_tc"] == -original["amount_tc"]
        assert r["policy_hash"] == original["policy_hash"] == home.before.content_hash
    replaced = home.lines(f"sign = 1 and booking_id = '{second.booking_id}' and entity_id = 'US'")
    assert {r["entry_key"] for r in reversals} < {r["entry_key"] for r in replaced}
    assert {r["policy_hash"] for r in replaced} == {home.after.content_hash}


def test_the_correction_posts_in_the_first_open_period(home: Home, adopted: dict[str, Any]) -> None:
    """January is closed: reversal and replacement go to February, flagged. February is open: they stay there."""
    second = adopted["second"].booking_id
    corrected = home.lines(f"booking_id = '{second}' and entity_id = 'US' and account_role = 'revenue'")
    places = sorted((r["period"], r["posting_period"], int(r["sign"]), bool(r["prior_period"])) for r in corrected)
    assert places == [
        ("2026-01", "2026-02", -1, True), ("2026-01", "2026-02", 1, True),
        ("2026-02", "2026-02", -1, False), ("2026-02", "2026-02", 1, False),
        ("2026-03", "2026-03", 1, False),
    ]  # fmt: skip
    assert not home.lines(f"booking_id = '{second}' and posting_period = '2026-01'")
    # 900.00 in thirds instead of 31, 28 and 31 days of 90.
    revenue = {r["period"]: -r["amount_tc"] for r in corrected if r["sign"] == 1}
    assert revenue == {"2026-01": 30000, "2026-02": 30000, "2026-03": 30000}


def test_own_models_join_the_event_stream_and_the_asset_graph(home: Home) -> None:
    with duckdb.connect(str(home.warehouses[0]), read_only=True) as connection:
        events = connection.execute("select source, subject, entity_id from canonical.events order by 1").fetchall()
        earned = connection.execute(
            "select sum(amount_tc) from subledger.journal_lines where entity_id = 'DE' and account_role = 'revenue'"
        ).fetchall()
    assert ("/own/billing", "INV-DE", "DE") in events
    assert earned == [(-45000,)]
    manifest = home.warehouses[0].parent / "target" / "manifest.json"
    assets, _ = warehouse_assets(manifest, dbt_project(home.settings))
    own = dg.AssetKey(["staging", "stg_own__events"])
    assert own in assets.keys
    assert own in assets.asset_deps[dg.AssetKey(["canonical", "event_deliveries"])]
    assert assets.group_names_by_key[own] == "staging"


def test_unchanged_entries_and_entities_keep_their_lines_and_hash(home: Home, adopted: dict[str, Any]) -> None:
    kept = home.lines("entity_id = 'DE' and posting_period <= '2026-02'")
    assert kept
    assert {r["booking_id"] for r in kept} == {adopted["first"].booking_id}
    assert {r["policy_hash"] for r in kept} == {home.before.content_hash}
    invoices = home.lines("event_type = 'invoice.posted' and entity_id = 'US'")
    assert {r["policy_hash"] for r in invoices} == {home.before.content_hash}


def test_every_journal_line_can_produce_its_rules(home: Home, adopted: dict[str, Any]) -> None:
    hashes = {r["policy_hash"] for r in home.lines("true")}
    assert hashes == {home.before.content_hash, home.after.content_hash}
    for digest in hashes:
        text = policies.get(adopted["store"], digest)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        assert json.loads(text)["policy"]
    assert policies.get(adopted["store"], home.after.content_hash[:12]) == home.after.rules
    assert {v["author"] for v in policies.all_versions(adopted["store"])} == {"ana"}


def test_diff_foresaw_exactly_what_booking_did(home: Home, adopted: dict[str, Any]) -> None:
    foreseen: Difference = adopted["foreseen"]
    counted = {(r["entity"], r["kind"], r["booked"]): r["entries"] for r in foreseen.entries if r["booked"]}
    assert counted == {("US", "changed", True): 2}
    assert [(r["period"], r["entries"]) for r in foreseen.entries if not r["booked"]] == [("2026-03", 1)]
    query = (
        f"booking_id = '{adopted['second'].booking_id}' and entity_id = 'US' and posting_period = '2026-02' "
        "and account_role = 'revenue'"
    )
    (february,) = (r for r in foreseen.accounts if (r["period"], r["account_role"]) == ("2026-02", "revenue"))
    assert february["difference_tc"] == sum(r["amount_tc"] for r in home.lines(query)) == 31000 - 30000 + 28000 - 30000
    assert (february["old_tc"], february["new_tc"]) == (-28000, -29000)
    (march,) = (r for r in foreseen.accounts if (r["period"], r["account_role"]) == ("2026-03", "revenue"))
    assert (march["old_tc"], march["new_tc"]) == (-31000, -30000)
    assert {r["entity"] for r in foreseen.accounts} == {"US"}
    assert "2026-01" not in {r["period"] for r in foreseen.accounts}, "a closed period changes by nothing"


def test_before_anything_is_booked_the_difference_is_by_its_own_months(adopted: dict[str, Any]) -> None:
    unbooked: Difference = adopted["unbooked"]
    assert {(r["period"], r["booked"], r["entries"]) for r in unbooked.entries} == {
        (f"2026-0{month}", False, 1) for month in (1, 2, 3)
    }
    revenue = {r["period"]: r["difference_tc"] for r in unbooked.accounts if r["account_role"] == "revenue"}
    assert revenue == {"2026-01": 1000, "2026-02": -2000, "2026-03": 1000}


def test_after_adoption_nothing_is_left_to_change(home: Home, adopted: dict[str, Any]) -> None:
    again = home.difference()
    assert [r for r in again.accounts if r["difference_tc"] or r["difference_fc"]] == []


def test_report_and_period_filter(home: Home, adopted: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_difference(home.difference("2026-03"))
    print_difference(adopted["foreseen"])
    said = capsys.readouterr().out
    assert "policy.yaml  US  recognition: ratable_daily -> ratable_monthly_equal" in said
    assert "booked already, would be reversed and replaced: 2" in said


def test_equal_versions_are_told_at_once(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path / "nowhere"))
    config = str(home.settings.config)
    said = CliRunner().invoke(main, ["policy", "diff", config, config, "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.output)["equal"]
    assert not (tmp_path / "nowhere").exists()
