"""From a dbt node to a Dagster asset: key, group, owner, description. One small method per attribute."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

OWNER_OF_LAYER = {
    "staging": "team:revenue-data",
    "canonical": "team:revenue-data",
    "subledger": "team:revenue-accounting",
    "reconciliation": "team:revenue-accounting",
    "finance": "team:revenue-accounting",
}


class RevenueDbtTranslator(DagsterDbtTranslator):
    """Layer folder = group = key prefix; the layer's team owns it; reconciliations carry their control code."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] != "model":
            return spec
        layer = self._layer(node)
        # What reads the ERP back stands apart from what the vendors said, or the groups would form a circle.
        read_back = layer in ("staging", "canonical") and "after_posting" in node["tags"]
        return spec.replace_attributes(
            key=dg.AssetKey([layer, node["name"]]),
            group_name="read_back" if read_back else layer,
            owners=[OWNER_OF_LAYER[layer]],
            tags={**spec.tags, "layer": layer, **self._control(node["name"])},
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None or spec.description:
            return spec
        return spec._replace(description=_sentence(self.get_resource_props(manifest, unique_id)))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "model":
            return dg.AssetKey([self._layer(dbt_resource_props), dbt_resource_props["name"]])
        return super().get_asset_key(dbt_resource_props)

    @staticmethod
    def _layer(node: Mapping[str, Any]) -> str:
        return node["fqn"][1]

    @staticmethod
    def _control(name: str) -> dict[str, str]:
        code = name.removeprefix("rec_r") if name.startswith("rec_r") else ""
        return {"control": f"R{code[:2]}"} if code[:2].isdigit() else {}


_GENERIC = {
    "not_null": "{column} is never empty.",
    "unique": "{column} occurs once.",
    "accepted_values": "{column} is one of {values}.",
    "relationships": "Every {column} exists as {field} in its master.",
    "subledger_unique_key": "The combination of {columns} occurs once.",
    "unique_combination": "The combination of {columns} occurs once.",
    "recon_rows_foot": "On every row left less right is the difference.",
    "recon_no_nulls": "No reader meets an empty value where the contract promises one.",
}


def _sentence(test: Mapping[str, Any]) -> str:
    """What the test looks for: of a generic test from its arguments, of a singular one from its first comment."""
    described = test.get("description")
    if described:
        return str(described)
    metadata = test.get("test_metadata")
    if metadata:
        arguments = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in metadata["kwargs"].items()}
        words = {"column": test.get("column_name"), "columns": "", "values": "", "field": "", **arguments}
        return _GENERIC.get(metadata["name"], metadata["name"].replace("_", " ") + ".").format(**words)
    lines = [line.strip() for line in str(test.get("raw_code", "")).splitlines()]
    comment = itertools.takewhile(lambda line: line.startswith("--"), lines)
    return " ".join(line.lstrip("- ") for line in comment) or str(test["name"]).replace("_", " ")
