"""Planning and posting as Dagster runs them, for a company by configuration alone whose ledger runs the schedules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from schedule_kit import line, scheduled
from store_kit import House

from demo.erp_emulators.face import serving
from demo.erp_emulators.rest import TOKEN
from demo.erp_emulators.rest_schedules import RestSchedulesFace
from revenue_assets.assets.posting import ERP_DOCUMENTS, REVENUE_SCHEDULES, erp_documents, revenue_schedules
from revenue_assets.close.gates import Books, _schedules
from revenue_assets.posting.outbox import ready
from revenue_assets.resources import Platform
from revenue_assets.scaffold import scaffold
from revenue_assets.settings import Settings
from revenue_assets.store import exceptions, schedule_outbox

COMPANY = "Acme Inc"
YEAR = {"2026-01": 100, "2026-02": 90, "2026-03": 100}


@pytest.fixture
def face(tmp_path: Path) -> RestSchedulesFace:
    face = RestSchedulesFace(tmp_path / "erp")
    face.setup({COMPANY: "USD"}, ["2100", "4000"], [2026])
    return face


@pytest.fixture
def house(tmp_path: Path, face: RestSchedulesFace, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A fresh company's folder with two schedules of its one entity in the warehouse."""
    scaffold(tmp_path / "acme")
    config = tmp_path / "acme" / "config"
    entities, placeholder = config / "entities.yaml", "erp_company: CHANGE ME Inc"
    assert placeholder in entities.read_text()
    mine = f"erp_company: {COMPANY}, schedules_owner: erp"
    entities.write_text(entities.read_text().replace(placeholder, mine))
    with serving(face) as url:
        options = {"revenue_schedules": True, "settle_seconds": 1}
        erp = {"vendor": "generic_rest", "base_url": "env:ERP_BASE_URL", "credentials": {"token": "env:ERP_TOKEN"}}
        (config / "erp.yaml").write_text(yaml.safe_dump({"erp": erp | {"options": options}}))
        house = House.build(tmp_path / "home")
        for name in Settings.load().export():  # put back after the test: `Settings.prepare` writes them all
            monkeypatch.setenv(name, "")
        for name, value in {
            "REVENUE_HOME": str(house.root), "REVENUE_CONFIG": str(config), "ERP_BASE_URL": url, "ERP_TOKEN": TOKEN,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        scheduled(house, line("i1", YEAR, entity_id="MAIN"), line("i2", YEAR, entity_id="MAIN"))
        yield house


def run(*keys: dg.AssetKey) -> dict[str, dict]:
    """Materializes the assets; their metadata by asset."""
    done = dg.materialize(
        [revenue_schedules, erp_documents],
        resources={"platform": Platform()},
        selection=list(keys),
        raise_on_error=True,
    )
    found = {e.asset_key: e.materialization.metadata for e in done.get_asset_materialization_events()}
    return {key.path[-1]: {name: value.value for name, value in meta.items()} for key, meta in found.items()}


def test_a_change_goes_from_the_warehouse_into_the_ledger_and_what_it_recognised_stays(
    house: House, face: RestSchedulesFace
) -> None:
    first = run(REVENUE_SCHEDULES, ERP_DOCUMENTS)
    assert first["revenue_schedules"]["dagster/row_count"] == 2
    assert (first["erp_documents"]["schedules_verified"], first["erp_documents"]["schedules_waiting"]) == (2, 0)
    again = run(REVENUE_SCHEDULES, ERP_DOCUMENTS)
    assert (again["revenue_schedules"]["dagster/row_count"], again["erp_documents"]["schedules_sent"]) == (0, 0)

    face.recognise(COMPANY, "2026-01-31")
    scheduled(
        house, line("i1", {"2026-01": 100, "2026-02": 10}, entity_id="MAIN"),
        line("i2", {"2026-01": 99, "2026-02": 10}, entity_id="MAIN"),
    )  # fmt: skip
    assert run(REVENUE_SCHEDULES)["revenue_schedules"]["dagster/row_count"] == 2
    assert [work.batches for work in ready(house.store)] == [2], "the sensor sees them"
    changed = run(ERP_DOCUMENTS)["erp_documents"]
    assert (changed["schedules_verified"], changed["schedules_dead"]) == (1, 1)
    totals = {s["reference"]: s["total"] for s in face.all(COMPANY)}
    assert totals == {"i1": "1.10", "i2": "2.90"}, "what was recognised of i2 was changed"
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert item["category"] == "recognised_already"
    assert schedule_outbox.standing(house.store) == {"verified": 1, "dead": 1}
    books = Books(house.store, None, "", "", house.state, None)  # type: ignore[arg-type]
    (gate,) = _schedules(books, "MAIN", "2026-01")
    assert (gate.is_green, gate.sentence.endswith("1 dead.")) == (False, True)
    assert list(_schedules(books, "OTHER", "2026-01")) == []
