"""The whole pretend company over HTTP with the demo's faults on: all of it lands, once, and every contract is green."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sources_support import Lander

from demo.simulators.faults import demo_faults
from demo.simulators.runtime import Secrets, serving, stripe_accounts
from demo.world import generate
from revenue_assets.landing.contracts import check_contract
from revenue_assets.landing.writer import LandingResult
from revenue_assets.sources.base import Source
from revenue_assets.sources.catalogue import source_class

NOW = dt.datetime(2026, 11, 2, 3, tzinfo=dt.UTC)
ZONES = {"US": "America/New_York", "UK": "Europe/London", "DE": "Europe/Berlin"}


@dataclass
class Company:
    """The world's folder, what landed of it, and how to connect again."""

    world: Path
    lander: Lander
    sources: list[Source]
    first: dict[tuple[str, str], LandingResult]
    second: dict[tuple[str, str], LandingResult]
    seconds: list[float]
    secrets: list[str]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    home = tmp_path_factory.mktemp("company")
    generate(7, 30, 6).write(home / "world")
    shutil.copytree(home / "world" / "treasury", home / "drop")
    keys = Secrets.kept(home / "secrets.json", stripe_accounts(home / "world"))
    lander = Lander(home / "home")
    with serving(home / "world", keys, faults=demo_faults()) as running:
        env = keys.environment(running.urls)

        def connect(vendor: str, name: str, entity: str | None, url: str | None, **given: Any) -> Source:
            return source_class(vendor)(
                name=name,
                entity_id=entity,
                base_url=env[url] if url else None,
                credentials={key: env[variable] for key, variable in given.pop("keys", {}).items()},
                options={"time_zones": ZONES, "drop": str(home / "drop"), **given},
            )

        def connect_all() -> list[Source]:
            crm = {"client_id": "CRM_CLIENT_ID", "client_secret": "CRM_CLIENT_SECRET"}
            tax = {"account": "AVATAX_ACCOUNT", "license": "AVATAX_LICENSE"}
            billing = [
                connect("stripe", f"billing_{e.lower()}", e, "STRIPE_BASE_URL", keys={"api_key": f"STRIPE_KEY_{e}"})
                for e in ZONES
            ]
            return [
                connect("salesforce", "crm", None, "CRM_BASE_URL", keys=crm),
                *billing,
                connect("avalara", "tax", None, "AVATAX_BASE_URL", keys=tax, companies=list(ZONES)),
                connect("treasury", "treasury", None, None),
                connect("cloudevents", "events", None, None),
            ]

        runs: list[dict[tuple[str, str], LandingResult]] = []
        seconds: list[float] = []
        for hours in (0, 1):
            started = time.monotonic()
            results: dict[tuple[str, str], LandingResult] = {}
            for source in connect_all():
                landed = lander.land(source, source.OBJECTS, NOW + dt.timedelta(hours=hours))
                results |= {(source.name, name): result for name, result in landed.items()}
            runs.append(results)
            seconds.append(time.monotonic() - started)
        private = [value for name, value in env.items() if not name.endswith("_URL")]
        yield Company(home / "world", lander, connect_all(), *runs, seconds, private)


def _written(world: Path, source: str, object_name: str) -> list[dict[str, Any]]:
    path = world / source / f"{object_name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_everything_of_the_world_lands_and_nothing_is_quarantined(company: Company) -> None:
    for (source, name), result in company.first.items():
        assert result.rows_quarantined == 0, (source, name, company.lander.quarantined(source, name))
        written = _written(company.world, source, name)
        if name == "event":  # the vendor shows the last 30 days only
            continue
        if name == "payout_member":  # the vendor lists the payout's own transaction among its members
            kinds = {row["id"]: row["type"] for row in _written(company.world, source, "balance_transaction")}
            landed = company.lander.latest(source, name).values()
            links = {(row["payout"], row["balance_transaction"]) for row in landed}
            wanted = {(row["payout"], row["balance_transaction"]) for row in written}
            assert wanted <= links
            assert {kinds[txn] for _, txn in links - wanted} <= {"payout"}
            continue
        if written:
            assert result.rows_landed == len(written), (source, name)
    for name in ("fx_rate", "bank_line"):
        lines = (company.world / "treasury" / f"{name}.csv").read_text().splitlines()
        assert company.first["treasury", name].rows_landed == len(lines) - 1


def test_money_of_the_world_is_the_control_total(company: Company) -> None:
    for source in ("billing_us", "billing_uk", "billing_de"):
        sums: dict[str, int] = {}
        for row in _written(company.world, source, "balance_transaction"):
            sums[row["currency"]] = sums.get(row["currency"], 0) + row["net"]
        [batch] = company.first[source, "balance_transaction"].batches
        assert batch.control_totals["amounts"]["net"] == {code: str(total) for code, total in sorted(sums.items())}


def test_long_invoices_are_whole(company: Company) -> None:
    for source in ("billing_us", "billing_uk", "billing_de"):
        landed = company.lander.latest(source, "invoice")
        for row in _written(company.world, source, "invoice"):
            lines = row["lines"]["data"] if isinstance(row["lines"], dict) else row["lines"]
            assert [line["id"] for line in landed[row["id"]]["lines"]["data"]] == [line["id"] for line in lines]


def test_second_run_lands_nothing(company: Company) -> None:
    assert {key for key, result in company.second.items() if result.rows_landed or result.batches} == set()


def test_every_contract_is_green(company: Company) -> None:
    landing = company.lander.home / "landing"
    red = {
        (source.name, name): result.failing_rows
        for source in company.sources
        for name in source.OBJECTS
        if not (result := check_contract(landing, [source.name], source.vendor, name)).success
    }
    assert red == {}


def test_no_key_is_stored_anywhere(company: Company) -> None:
    stored = company.lander.all_text()
    assert [len(secret) for secret in company.secrets if len(secret) > 8 and secret in stored] == []
