"""The models of the last dbt build as SQL, to run them over the events of a few documents instead of all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ENTRY = "stg_cloudevents__events"  # where the events of the scope come in
TARGETS = (
    "journal_lines", "document_schedule", "contract_schedule", "posting_exceptions", "rollforwards",
    "posting_summaries",
)  # fmt: skip


RELATION = re.compile(r'"(?P<database>\w+)"\."(?P<schema>\w+)"\."(?P<name>\w+)"')


@dataclass(frozen=True)
class Model:
    """One table of the warehouse and the SQL that dbt built it with; `database` is the name dbt gave the file."""

    database: str
    schema: str
    name: str
    sql: str


def models(dbt_target: Path) -> list[Model]:
    """The subledger's models and all they need, in order of dependency, as `manifest.json` of the last build says."""
    nodes = json.loads((dbt_target / "manifest.json").read_text("utf-8"))["nodes"]
    built = {key: node for key, node in nodes.items() if node["resource_type"] == "model" and node.get("compiled_code")}
    order = TopologicalSorter(
        {key: [k for k in node["depends_on"]["nodes"] if k in built] for key, node in built.items()}
    ).static_order()
    ordered = [Model(n["database"], n["schema"], n["alias"], n["compiled_code"]) for n in (built[key] for key in order)]
    return needed(ordered)


def needed(ordered: list[Model], targets: tuple[str, ...] = TARGETS) -> list[Model]:
    """Those of `ordered` (by dependency) that `targets` read, directly or not, in the same order."""
    wanted = set(targets)
    for model in reversed(ordered):
        if model.name in wanted:
            wanted |= {match["name"] for match in RELATION.finditer(model.sql)}
    return [model for model in ordered if model.name in wanted]
