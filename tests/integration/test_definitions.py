"""The code location as its users see it: it loads with nothing running, and the graph is whole."""

from __future__ import annotations

import dagster as dg
import pytest

from revenue_assets.build import build_defs


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REVENUE_HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("ERP_BASE_URL", "STRIPE_BASE_URL", "CRM_BASE_URL"):
            patch.delenv(name, raising=False)
        return build_defs()


def specs(graph: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in graph.resolve_all_asset_specs()}


def test_every_asset_says_what_it_is_and_whose(graph: dg.Definitions) -> None:
    for key, spec in specs(graph).items():
        assert spec.description, key
        assert spec.owners, key
        assert spec.group_name in {
            "landing", "staging", "canonical", "read_back", "subledger", "reconciliation", "posting", "finance", "close",
        }, key  # fmt: skip
        assert spec.kinds, key


def test_lineage_runs_unbroken_from_the_crm_to_the_closed_period(graph: dg.Definitions) -> None:
    known = specs(graph)

    def upstream(key: dg.AssetKey) -> set[dg.AssetKey]:
        seen: set[dg.AssetKey] = set()
        todo = [key]
        while todo:
            for dep in known[todo.pop()].deps:
                if dep.asset_key in known and dep.asset_key not in seen:
                    seen.add(dep.asset_key)
                    todo.append(dep.asset_key)
        return seen

    behind_the_close = upstream(dg.AssetKey(["close", "period_close"]))
    for landed in (
        ["landing", "salesforce", "opportunity"],
        ["landing", "stripe", "invoice"],
        ["landing", "avalara", "transaction"],
        ["landing", "treasury", "bank_line"],
        ["landing", "tryton", "move"],
        ["posting", "journal_of_record"],
    ):
        assert dg.AssetKey(landed) in behind_the_close, landed
    assert dg.AssetKey(["landing", "stripe", "invoice"]) in upstream(dg.AssetKey(["subledger", "journal_lines"]))
    assert dg.AssetKey(["landing", "tryton", "move"]) not in upstream(dg.AssetKey(["posting", "erp_documents"]))


def test_every_dependency_is_an_asset_of_ours(graph: dg.Definitions) -> None:
    known = specs(graph)
    strangers = {dep.asset_key for spec in known.values() for dep in spec.deps} - set(known)
    assert not strangers


def test_contracts_and_identities_block(graph: dg.Definitions) -> None:
    checks = [s for s in graph.resolve_asset_graph().asset_check_keys]
    assert len(checks) > 60
    blocking = {key.to_user_string() for key in checks if graph.resolve_asset_graph().get(key).blocking}
    assert any("landing/stripe/invoice" in key for key in blocking)
    assert any("journal_lines" in key for key in blocking)


def test_a_run_key_carries_the_attempt(graph: dg.Definitions) -> None:
    sensor = graph.resolve_sensor_def("ready_batches_sensor") if hasattr(graph, "resolve_sensor_def") else None
    assert sensor is None or sensor.job_name == "erp_posting_job"
