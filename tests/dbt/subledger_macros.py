"""Renders the subledger's macros outside dbt, so that their arithmetic is tested a thousand times a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2

MACROS = Path(__file__).parents[2] / "dbt_project" / "macros"
FILES = (
    "staging_time.sql",
    "fiscal_periods.sql",
    "subledger_money.sql",
    "subledger_schedule.sql",
    "subledger_contracts.sql",
)


class _Adapter:
    """Answers `adapter.dispatch(name)` with the DuckDB implementation, as dbt does on DuckDB."""

    def __init__(self) -> None:
        self.module: Any = None

    def dispatch(self, name: str) -> Any:
        return getattr(self.module, f"duckdb__{name}")


def load_macros(week_calendars: str = "") -> Any:
    """All macros of FILES as attributes; each returns SQL text. `week_calendars` is the dbt variable of that name."""
    adapter = _Adapter()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
    environment.globals.update(adapter=adapter, **{"return": lambda value: value})
    # A macro that returns data is a function in dbt and text in plain Jinja.
    environment.globals["week_calendars"] = lambda: json.loads(week_calendars) if week_calendars else []
    text = "\n".join((MACROS / name).read_text("utf-8") for name in FILES)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("{% macro week_calendars("))
    adapter.module = environment.from_string(text).module
    return adapter.module
