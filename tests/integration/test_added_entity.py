"""A fourth entity joins by configuration alone: a chart of its own, a company in the ERP, a billing account, and the
balances it had in its old ledger. What was there before stays as it was.

The new billing account is that of an entity of another world under other ids, so that its customers, invoices and
payouts are real ones and none is known to the platform.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from demo_home import Books, DemoHome, Said
from erp_fixture import REPOSITORY

from demo.erp import server, setup
from demo.run import _account
from demo.world import generate
from demo.world.writer import World
from revenue_assets.domain.config import load_company
from revenue_assets.state import accounts_of

SIZE = ("--seed", "5", "--customers", "14", "--months", "2")
OPENING = [
    ("accounts_receivable", 240_000), ("deferred_revenue", -180_000), ("tax_liability", -40_000), ("cash", 500_000)
]  # fmt: skip

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True)
class Joined:
    """The home before and after the fourth entity."""

    home: DemoHome
    before: Books
    said: Said
    after: Books
    status: dict[str, Any]
    codes: dict[str, set[str]]


def own_chart(common: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every account under a number of its own, six digits as in France."""
    return [row | {"entity": "FR", "code": f"4{row['code']}0", "name": f"FR {row['name']}"} for row in common]


def configured(source: Path, target: Path) -> dict[str, set[str]]:
    """The demo's configuration with one entity more; returns account codes by entity. Nothing but YAML is written."""
    shutil.copytree(source, target)

    def edit(name: str) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load((target / f"{name}.yaml").read_text())
        return content

    def write(name: str, content: dict[str, Any]) -> None:
        (target / f"{name}.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))

    company, accounts, policy, sources = (edit(name) for name in ("entities", "accounts", "policy", "sources"))
    company["entities"].append(
        {"id": "FR", "name": "Meridian SAS", "functional_currency": "EUR", "time_zone": "Europe/Paris",
         "calendar": "month", "erp_company": "Meridian SAS"}
    )  # fmt: skip
    mine = own_chart(accounts["accounts"])
    codes = {"FR": {row["code"] for row in mine}, "others": {row["code"] for row in accounts["accounts"]}}
    accounts["accounts"] += mine
    policy["policy"] += [row | {"entity": "FR"} for row in policy["policy"] if row["entity"] == "DE"]
    sources["sources"].append(
        {"name": "billing_fr", "vendor": "stripe", "entity": "FR", "base_url": "env:STRIPE_BASE_URL",
         "credentials": {"api_key": "env:STRIPE_KEY_FR"}}
    )  # fmt: skip
    for name, content in (("entities", company), ("accounts", accounts), ("policy", policy), ("sources", sources)):
        write(name, content)
    return codes


def billing_account(world: World, folder: Path) -> None:
    """The German billing account of another world becomes the new entity's, with its rates and bank lines."""
    records = {name: rows for (instance, name), rows in world.objects.items() if instance == "billing_de"}
    (folder / "billing_fr").mkdir()
    for name, rows in records.items():
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        (folder / "billing_fr" / f"{name}.jsonl").write_text(text)
    for name, rows in (("fx_rate", world.fx_rates), ("bank_line", world.bank_lines)):
        with (folder / "treasury" / f"{name}.csv").open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(["FR", *row[1:]] for row in rows if row[0] == "DE")


def opening_balances(folder: Path) -> None:
    """The trial balance at cut-over, as one event of the file drop."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"account_role": role, "currency": "EUR", "amount": amount} for role, amount in OPENING]
    event = {
        "specversion": "1.0", "id": "cut-over-FR", "source": "/old-ledger/FR", "type": "opening_balance.loaded",
        "time": "2026-10-01T00:00:00Z", "entityid": "FR", "effectivedate": "2026-10-01",
        "recordedtime": "2026-10-01T00:00:00Z", "dataschema": "urn:revenue-assets:opening_balance.loaded:1",
        "data": {"lines": lines},
    }  # fmt: skip
    (folder / "opening_fr.jsonl").write_text(json.dumps(event) + "\n")


def erp_company(home: DemoHome, config: Path) -> None:
    """What the ERP's administrator does: the company with its chart and periods, open to the robot."""
    company = load_company(config)
    (entity,) = [e for e in company.entities if e.id == "FR"]
    chart = [_account(a) for a in accounts_of(company, "FR")]
    with server.running(home.path, progress=lambda _: None) as erp:
        setup.ensure(
            erp.base_url, erp.database, erp.admin_password, {entity.erp_company: entity.functional_currency}, chart,
            [2026], robot=(erp.user, erp.password),
        )  # fmt: skip


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    path = tmp_path_factory.mktemp("added") / "home"
    path.mkdir()
    home = DemoHome(path)
    said = home.revenue("demo", *SIZE)
    assert said.code == 0, said.all
    before = home.books()
    codes = configured(REPOSITORY / "config" / "demo", path / "config")
    billing_account(generate(6, 8, 1), path / "demo" / "world")
    opening_balances(path / "drop" / "events")
    home = DemoHome(path, {"REVENUE_CONFIG": str(path / "config")})
    erp_company(home, path / "config")
    said = home.revenue("refresh", REVENUE_AS_OF="2026-10-31")
    status = home.revenue("status", "--json")
    return Joined(home, before, said, home.books(), json.loads(status.out), codes)


def test_it_runs_to_the_end(joined: Joined) -> None:
    assert joined.said.code == 0, joined.said.all


def test_every_batch_of_the_new_entity_is_verified_in_its_own_company_on_its_own_accounts(joined: Joined) -> None:
    new = joined.after.batches.keys() - joined.before.batches.keys()
    assert new
    assert set(joined.after.batches.values()) == {"verified"}
    moves = [move for key in new for move in joined.after.ours[key]]
    assert len(moves) == len(new)
    assert {move.company for move in moves} == {"Meridian SAS"}
    used = {line[0] for move in moves for line in move.lines}
    assert used <= joined.codes["FR"]
    assert used.isdisjoint(joined.codes["others"])


def test_nothing_of_the_others_changed(joined: Joined) -> None:
    old = [move for move in joined.after.moves if move.company != "Meridian SAS"]
    assert old == list(joined.before.moves)
    assert joined.before.batches.items() <= joined.after.batches.items()


def test_the_opening_balances_are_in_the_books_and_in_the_erp(joined: Joined) -> None:
    """The opening journal has the trial balance and its counter account (both sides of it), and nothing else."""
    moves = [move for move in joined.after.moves if move.company == "Meridian SAS"]
    (opening,) = [move for move in moves if any("opening_balance" in line[3] for line in move.lines)]
    balances: Counter[str] = Counter()
    for account, debit, credit, _ in opening.lines:
        balances[account] += debit - credit
    counter = -sum(amount for _, amount in OPENING)
    assert sorted(balances.values()) == sorted(Decimal(amount) / 100 for amount in [*(a for _, a in OPENING), counter])


def test_it_ties_to_zero(joined: Joined) -> None:
    rows = [row for row in joined.status["tie_out"] if row["entity"] == "FR"]
    assert {row["account_role"] for row in rows} >= {role for role, _ in OPENING} | {"revenue", "processor_clearing"}
    for row in rows:
        assert Decimal(row["subledger"]) == Decimal(row["erp"]), row
        assert (Decimal(row["classified"]), Decimal(row["unexplained"])) == (0, 0), row
