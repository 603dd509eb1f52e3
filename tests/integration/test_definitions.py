"""The code location as its users see it: it loads with nothing running, and the graph is whole."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from revenue_assets.build import build_defs
from revenue_assets.domain.config import VENDORS
from revenue_assets.sources.catalogue import objects_of

JOURNAL = dg.AssetKey(["posting", "journal_of_record"])
ERP_DOCUMENTS = dg.AssetKey(["posting", "erp_documents"])
PERIOD_CLOSE = dg.AssetKey(["close", "period_close"])
GROUPS = {
    "landing", "read_back", "staging", "canonical", "subledger", "reconciliation", "posting", "finance", "close",
}  # fmt: skip
# Accounting identities that must stop the booking, by the name of their test.
IDENTITIES = {
    "assert_entries_balance", "assert_entries_in_one_entity", "assert_deferred_is_the_unrecognised_rest",
    "assert_schedules_sum_to_the_line", "assert_functional_lines_keep_their_amount",
    "assert_subledger_rollforwards_foot",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def graph(home: Path) -> Iterator[dg.Definitions]:
    """Loaded with no address, no key and no service; the process environment is put back afterwards."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("ERP_", "STRIPE_", "CRM_", "AVATAX_", "REVENUE_", "DAGSTER_")):
            del os.environ[name]
    os.environ["REVENUE_HOME"] = str(home)
    try:
        yield build_defs()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def specs(graph: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in graph.resolve_all_asset_specs()}


def upstream(specs: dict[dg.AssetKey, dg.AssetSpec], key: dg.AssetKey) -> set[dg.AssetKey]:
    """All that `key` is made of, directly or not."""
    seen: set[dg.AssetKey] = set()
    todo = [key]
    while todo:
        for dep in specs[todo.pop()].deps:
            if dep.asset_key not in seen:
                seen.add(dep.asset_key)
                todo.append(dep.asset_key)
    return seen


def job_assets(graph: dg.Definitions, name: str) -> set[dg.AssetKey]:
    return set(graph.resolve_job_def(name).asset_layer.executable_asset_keys)


def test_loading_opens_no_store_and_no_warehouse(graph: dg.Definitions, home: Path) -> None:
    assert graph.resolve_all_asset_specs()
    assert not list((home / "store").iterdir())
    assert not list((home / "warehouse").iterdir())


def test_every_asset_says_what_it_is_and_whose(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert len(specs) > 150
    for key, spec in specs.items():
        assert spec.description, key
        assert spec.owners, key
        assert spec.group_name in GROUPS, key
        assert spec.kinds, key
    assert {spec.group_name for spec in specs.values()} == GROUPS


def test_every_check_says_what_it_checks(graph: dg.Definitions) -> None:
    nodes = graph.resolve_asset_graph()
    silent = [k.to_user_string() for k in nodes.asset_check_keys if not nodes.get(k).description]
    assert not silent


def test_lineage_runs_unbroken_from_the_crm_to_the_closed_period(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    behind_the_close = upstream(specs, PERIOD_CLOSE)
    for landed in (
        ["landing", "salesforce", "opportunity"],
        ["landing", "stripe", "invoice"],
        ["landing", "avalara", "transaction"],
        ["landing", "treasury", "bank_line"],
        ["landing", "cloudevents", "cloud_event"],
        ["landing", "erp", "move"],
        ["posting", "journal_of_record"],
        ["finance", "finance_serving"],
    ):
        assert dg.AssetKey(landed) in behind_the_close, landed
    assert dg.AssetKey(["landing", "stripe", "invoice"]) in upstream(specs, dg.AssetKey(["subledger", "journal_lines"]))
    assert ERP_DOCUMENTS in upstream(specs, dg.AssetKey(["landing", "erp", "move"]))
    assert not {k for k in upstream(specs, ERP_DOCUMENTS) if k.path[:2] == ["landing", "erp"]}, "a circle"


def test_every_dependency_is_an_asset_of_ours(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert not {dep.asset_key for spec in specs.values() for dep in spec.deps} - set(specs)


def test_everything_landed_has_a_contract_that_blocks(
    graph: dg.Definitions, specs: dict[dg.AssetKey, dg.AssetSpec]
) -> None:
    nodes, before_booking = graph.resolve_asset_graph(), upstream(specs, JOURNAL)
    landed = {dg.AssetKey(["landing", vendor, name]) for vendor in VENDORS for name in objects_of(vendor)}
    for key in landed:
        assert nodes.get(dg.AssetCheckKey(key, "contract_holds")).blocking, key
    assert len(landed & before_booking) >= 20


def test_every_dbt_test_is_a_check_that_the_ui_shows(graph: dg.Definitions, home: Path) -> None:
    manifest = json.loads((home / "dbt" / "target" / "manifest.json").read_text())
    tests = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "test"}
    assert len(tests) > 100
    assert tests - {key.name for key in graph.resolve_asset_graph().asset_check_keys} == set()


def test_accounting_identities_stand_between_landing_and_booking(graph: dg.Definitions) -> None:
    """They belong to the one step that the booking waits for: red ones fail it (see `test_demo_company`)."""
    (before_posting,) = [
        a for a in graph.assets or [] if isinstance(a, dg.AssetsDefinition) and a.op.name == "warehouse_before_posting"
    ]
    assert dg.AssetKey(["subledger", "journal_lines"]) in before_posting.keys
    nodes = graph.resolve_asset_graph()
    blocking = {key for key in before_posting.check_keys if nodes.get(key).blocking}
    assert {key.name for key in blocking} >= IDENTITIES
    on_journal_lines = {key.name for key in blocking if key.asset_key.path == ["subledger", "journal_lines"]}
    assert any(name.startswith("unique_") for name in on_journal_lines)
    assert any(name.startswith("not_null_") for name in on_journal_lines)


def test_jobs_run_what_their_names_say(graph: dg.Definitions, specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert job_assets(graph, "erp_posting_job") == {ERP_DOCUMENTS}
    assert job_assets(graph, "daily_posting_job") == upstream(specs, ERP_DOCUMENTS) | {ERP_DOCUMENTS}
    assert job_assets(graph, "monthly_close_job") == set(specs)
    assert job_assets(graph, "refresh_job") == set(specs) - {PERIOD_CLOSE}
    publish = job_assets(graph, "publish_job")
    assert publish == {key for key, spec in specs.items() if spec.group_name == "finance"}


@pytest.mark.parametrize("job", ["daily_posting_job", "refresh_job", "monthly_close_job"])
def test_a_job_builds_every_model_that_its_checks_read(graph: dg.Definitions, home: Path, job: str) -> None:
    """dbt runs a test with any of its models; one of them that the job leaves out would fail it. An ephemeral model is
    no asset, so it brings no test along."""
    nodes = json.loads((home / "dbt" / "target" / "manifest.json").read_text())["nodes"]
    built = {tuple(key.path) for key in job_assets(graph, job)}
    tables = {
        i: (n["schema"], n["name"])
        for i, n in nodes.items()
        if n["resource_type"] == "model" and n["config"]["materialized"] != "ephemeral"
    }
    for node in nodes.values():
        if node["resource_type"] == "test":
            read = {tables[i] for i in node["depends_on"]["nodes"] if i in tables}
            assert read <= built or not read & built, node["name"]


def test_only_the_lock_is_partitioned_and_by_month(graph: dg.Definitions) -> None:
    nodes = graph.resolve_asset_graph()
    partitioned = {key for key in nodes.get_all_asset_keys() if nodes.get(key).partitions_def is not None}
    assert partitioned == {PERIOD_CLOSE}
    months = nodes.get(PERIOD_CLOSE).partitions_def
    assert isinstance(months, dg.TimeWindowPartitionsDefinition)
    assert months.fmt == "%Y-%m"


def test_automation_targets_our_jobs(graph: dg.Definitions) -> None:
    repository = graph.get_repository_def()
    assert repository.get_sensor_def("ready_batches_sensor").job_name == "erp_posting_job"
    assert {s.name: s.job_name for s in repository.schedule_defs} == {
        "daily_refresh_schedule": "refresh_job",
        "monthly_close_schedule": "monthly_close_job",
    }


@pytest.mark.parametrize(("tick", "period"), [("2026-10-03T06:00", "2026-09"), ("2027-01-03T06:00", "2026-12")])
def test_the_close_schedule_asks_for_the_month_before(graph: dg.Definitions, tick: str, period: str) -> None:
    repository = graph.get_repository_def()
    when = dt.datetime.fromisoformat(tick).replace(tzinfo=dt.UTC)
    context = dg.build_schedule_context(scheduled_execution_time=when, repository_def=repository)
    (request,) = repository.get_schedule_def("monthly_close_schedule").evaluate_tick(context).run_requests
    assert request.partition_key == period
