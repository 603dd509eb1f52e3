"""The models of the last dbt build as SQL, to run them over the events of a few documents instead of all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ENTRY = "stg_cloudevents__events"  # where the events of the scope come in
TARGETS = ("journal_lines", "revenue_schedule", "posting_exceptions", "rollforwards", "posting_summaries")


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
    needed: set[str] = set()
    waiting = [key for key, node in built.items() if node["name"] in TARGETS]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [k for k in built[key]["depends_on"]["nodes"] if k in built]
    order = TopologicalSorter(
        {key: [k for k in built[key]["depends_on"]["nodes"] if k in needed] for key in needed}
    ).static_order()
    return [Model(n["database"], n["schema"], n["alias"], n["compiled_code"]) for n in (built[key] for key in order)]
