"""What sqlfluff's Jinja templater needs of dbt's context to render the models with the project's own macros.

sqlfluff brings `ref`, `source`, `config` and `return`; the names below are the rest that the macros use. Nothing here
talks to a database: lint sees the SQL that duckdb would get, with `execute` false as when dbt parses the project.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template, pass_context
from jinja2.runtime import Context

# The parser in Python runs out of stack on the recursive models. sqlfluff skips such a file, and one for which this
# module raises, with the warning "Unable to lint" and exits with 0: `make lint` looks for that warning.
if find_spec("sqlfluffrs") is None:
    raise ImportError("SQL lint needs sqlfluff's compiled parser: install sqlfluff[rs]")

execute = False


class _Adapter:
    """The adapter of the only engine that lint knows, duckdb."""

    @pass_context
    def dispatch(self, context: Context, name: str) -> Callable[..., str]:
        """Finds `duckdb__<name>` or `default__<name>` among the project's macros, as dbt does.

        Raises LookupError if neither exists, so that a missing implementation fails lint instead of rendering empty.
        """
        for prefix in ("duckdb", "default"):
            found = context.resolve_or_missing(f"{prefix}__{name}")
            if callable(found):
                return found
        raise LookupError(f"no macro duckdb__{name} or default__{name}")

    def quote(self, identifier: str) -> str:
        """Identifier in double quotes."""
        return f'"{identifier}"'


adapter = _Adapter()


def env_var(name: str, default: str | None = None) -> str:
    """Placeholder for a directory from the environment; the models build file paths from it."""
    return name.lower() if default is None else default


def _project_vars() -> dict[str, Any]:
    """Variables of dbt_project.yml as they are without an environment; the cut-off, empty there, is a date."""
    project = yaml.safe_load((Path(__file__).parent.parent / "dbt_project.yml").read_text(encoding="utf-8"))
    found = {
        name: Template(value).render(env_var=env_var) if isinstance(value, str) else value
        for name, value in project["vars"].items()
    }
    return found | {"as_of": "2026-10-31"}


_VARS = _project_vars()


def var(name: str, default: Any = None) -> Any:
    """Variable of dbt_project.yml, else the caller's default."""
    return _VARS.get(name, default)
