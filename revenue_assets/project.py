"""The dbt project: where it is, which dbt runs it, and its manifest (parsed once, then reused)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dagster_dbt import DbtCliResource, DbtProject

from revenue_assets.settings import REPOSITORY, Settings

PROJECT_DIR = REPOSITORY / "dbt_project"
MANIFEST = PROJECT_DIR / "target" / "manifest.json"
# `dbt` beside the running interpreter: a webserver started by absolute path has no virtual environment on PATH.
DBT_EXECUTABLE = Path(sys.executable).with_name("dbt")
# The profile needs a warehouse path to parse; the manifest keeps only the file's stem, which never changes.
_PARSE_ENVIRONMENT = dict.fromkeys(("REVENUE_LANDING", "REVENUE_STATE", "REVENUE_JOURNAL"), "/nowhere") | {
    "REVENUE_WAREHOUSE": "/nowhere/revenue.duckdb"
}


class ManifestError(RuntimeError):
    """The dbt manifest is missing or could not be made; the message says what to run."""


def ensure_manifest(env: str) -> Path:
    """Path of an up-to-date manifest.

    Locally it is parsed again when a file of the dbt project is newer. A deployment ships it, so there a missing
    manifest raises ManifestError instead of starting a parse in every process that loads the code location.
    """
    if MANIFEST.exists() and (env == "deploy" or MANIFEST.stat().st_mtime >= _newest_source()):
        return MANIFEST
    if env == "deploy":
        raise ManifestError(f"{MANIFEST} is missing; run `make manifest` when you build the deployment.")
    done = subprocess.run(  # noqa: S603 - our own interpreter's dbt, fixed arguments
        [
            str(DBT_EXECUTABLE),
            "parse",
            "--quiet",
            "--project-dir",
            str(PROJECT_DIR),
            "--profiles-dir",
            str(PROJECT_DIR),
        ],
        env={**_PARSE_ENVIRONMENT, **os.environ, "DBT_TARGET_PATH": str(MANIFEST.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not MANIFEST.exists():
        raise ManifestError(f"dbt could not parse {PROJECT_DIR}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    os.utime(MANIFEST)
    return MANIFEST


def _newest_source() -> float:
    inputs = [PROJECT_DIR / "dbt_project.yml", PROJECT_DIR / "profiles.yml"]
    for folder in ("models", "macros", "tests"):
        inputs += (p for p in (PROJECT_DIR / folder).rglob("*") if p.suffix in {".sql", ".yml", ".md"})
    return max(p.stat().st_mtime for p in inputs)


def dbt_project() -> DbtProject:
    return DbtProject(project_dir=PROJECT_DIR, profiles_dir=PROJECT_DIR, target="local")


def dbt_resource(settings: Settings) -> DbtCliResource:
    """The dbt command line, run with `settings`' environment."""
    return DbtCliResource(
        project_dir=dbt_project(),
        profiles_dir=str(PROJECT_DIR),
        target=settings.env,
        dbt_executable=str(DBT_EXECUTABLE),
    )
