"""The dbt project: where it is, which dbt runs it, and its manifest (parsed once, then reused)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dagster_dbt import DbtCliResource, DbtProject

from revenue_assets.domain.calendars import VARIABLE
from revenue_assets.settings import Settings, shipped

PROJECT_DIR = shipped("dbt_project")
RUNS_KEPT = 10
# `dbt` beside the running interpreter: a webserver started by absolute path has no virtual environment on PATH.
DBT_EXECUTABLE = Path(sys.executable).with_name("dbt")


class ManifestError(RuntimeError):
    """The dbt manifest is missing or could not be made; the message says what to run."""


def ensure_manifest(settings: Settings, *, renew: bool = False) -> Path:
    """Path of an up-to-date manifest in the home's dbt folder.

    Parsed with the environment that the runs will have: dbt parses everything again (9 CPU seconds) whenever a variable
    differs from that of the saved parse. Locally it is renewed when a file of the project or the cut-off is newer. A
    deployment ships it (`make manifest`); there a missing one raises ManifestError instead of a parse in every
    process. `renew` parses again in any case.
    """
    manifest, stamp = settings.dbt_target / "manifest.json", settings.dbt_target / "parsed_for"
    parsed_for = "\n".join(f"{name}={value}" for name, value in sorted(_parse_environment(settings).items()))
    if (
        not renew
        and manifest.exists()
        and (settings.env == "deploy" or _is_current(manifest, stamp, parsed_for, settings.overlay))
    ):
        return manifest
    if settings.env == "deploy" and not renew:
        raise ManifestError(f"{manifest} is missing; run `make manifest` when you build the deployment.")
    folders = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target", settings.env]
    done = subprocess.run(  # noqa: S603 - our own interpreter's dbt, fixed arguments
        [str(DBT_EXECUTABLE), "parse", "--quiet", *folders],
        env={**os.environ, **_parse_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not manifest.exists():
        raise ManifestError(f"dbt could not parse {PROJECT_DIR}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    os.utime(manifest)
    stamp.write_text(parsed_for)
    return manifest


def _parse_environment(settings: Settings) -> dict[str, str]:
    """Every variable that dbt's saved parse depends on."""
    own = {name: os.environ.get(name, "") for name in ("REVENUE_GROUP_CURRENCY", VARIABLE)}
    return settings.export() | {name: value for name, value in own.items() if value}


def forget_old_runs(settings: Settings) -> None:
    """Removes the artifacts of all but the newest runs; each holds a copy of the manifest (some 5 MB)."""
    folders = sorted((p for p in settings.dbt_target.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for folder in folders[:-RUNS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def last_invocation(settings: Settings) -> str:
    """Id of the dbt run that finished last in this home, as its artifacts say; empty if there is none."""
    results = sorted(settings.dbt_target.glob("*/run_results.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(results[-1].read_text())["metadata"]["invocation_id"] if results else ""


def _is_current(manifest: Path, stamp: Path, parsed_for: str, overlay: Path | None) -> bool:
    return manifest.stat().st_mtime >= _newest_source(overlay) and stamp.exists() and stamp.read_text() == parsed_for


def _newest_source(overlay: Path | None) -> float:
    inputs = [PROJECT_DIR / "dbt_project.yml", PROJECT_DIR / "profiles.yml"]
    for folder in (*(PROJECT_DIR / name for name in ("models", "macros", "tests")), *([overlay] if overlay else [])):
        inputs += (p for p in folder.rglob("*") if p.suffix in {".sql", ".yml", ".md"})
    return max(p.stat().st_mtime for p in inputs)


def dbt_project(settings: Settings) -> DbtProject:
    """The project with the home's target folder: saved parse, manifest and artifacts of every run."""
    return DbtProject(
        project_dir=PROJECT_DIR, profiles_dir=PROJECT_DIR, target_path=settings.dbt_target, target=settings.env
    )


def dbt_resource(settings: Settings) -> DbtCliResource:
    """The dbt command line, run with `settings`' environment."""
    return DbtCliResource(
        project_dir=dbt_project(settings), profiles_dir=str(PROJECT_DIR), dbt_executable=str(DBT_EXECUTABLE)
    )
