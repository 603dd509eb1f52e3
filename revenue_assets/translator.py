"""From a dbt node to a Dagster asset: key, group, owner, description. One small method per attribute."""

from __future__ import annotations

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
        return spec.replace_attributes(
            key=dg.AssetKey([layer, node["name"]]),
            group_name=layer,
            owners=[OWNER_OF_LAYER[layer]],
            tags={**spec.tags, "layer": layer, **self._control(node["name"])},
        )

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
