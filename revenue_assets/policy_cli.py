"""`revenue policy ...` and `revenue init`: what finance and a new company use before anything runs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """The command line's way to say an error; imported late, because the command line imports this module."""
    from revenue_assets.cli import sentences

    with sentences():
        yield


@click.group()
def policy() -> None:
    """Check a company's configuration, see what a change would do, read the rules behind a journal."""


@policy.command()
@click.option("--config", "folder", type=FOLDER, help="Config folder.  [default: REVENUE_CONFIG]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def check(folder: Path | None, as_json: bool) -> None:
    """Everything that is wrong with the configuration, in one go. Runs nothing else; exit 1 if there are errors."""
    from revenue_assets.domain.config_check import check_config
    from revenue_assets.policy.families import sold_families
    from revenue_assets.settings import Settings
    from revenue_assets.state import currency_exponents

    with _sentences():
        settings = Settings.load()
        folder = folder or settings.config
        families = sold_families(settings.warehouse)
    findings = check_config(folder, currencies=frozenset(currency_exponents()), sold_families=families)
    errors = sum(f.is_error for f in findings)
    if as_json:
        rows = [f.as_json() for f in findings]
        click.echo(json.dumps({"config": str(folder), "ok": not errors, "findings": rows}, indent=2))
        sys.exit(1 if errors else 0)
    for finding in findings:
        click.echo(("error    " if finding.is_error else "warning  ") + str(finding))
    warnings = len(findings) - errors
    verdict = "The configuration can be used." if not errors else "Nothing was run."
    click.echo(f"{folder}: {errors} errors, {warnings} warnings. {verdict}")
    sys.exit(1 if errors else 0)


@policy.command()
@click.argument("old", type=FOLDER)
@click.argument("new", type=FOLDER)
@click.option("--period", "periods", multiple=True, help="Only this posting period (YYYY-MM); may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def diff(old: Path, new: Path, periods: tuple[str, ...], as_json: bool) -> None:
    """The journals that config folder NEW would change over history, compared with OLD. Books and changes nothing."""
    from revenue_assets.policy.diff import compare
    from revenue_assets.policy.report import print_difference
    from revenue_assets.settings import Settings

    with _sentences():
        settings = Settings.load()
        difference = compare(settings, old, new, periods=periods)
    click.echo(json.dumps(difference.as_json(), indent=2)) if as_json else print_difference(difference)


@policy.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def versions(as_json: bool) -> None:
    """Every version of the rules that figures were computed with: hash, who, when."""
    from revenue_assets.cli import prepared
    from revenue_assets.store import policies
    from revenue_assets.store.engine import open_store

    with _sentences(), contextlib.closing(open_store(prepared().store_url)) as store:
        rows = policies.all_versions(store)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        click.echo(f"{row['content_hash']}  {row['stored_at']:%Y-%m-%d %H:%M}  {row['company']}  {row['author']}")
    click.echo(f"{len(rows)} versions")


@policy.command()
@click.argument("content_hash")
def show(content_hash: str) -> None:
    """The full text of the rules with CONTENT_HASH, as every journal line names it; its first characters will do."""
    from revenue_assets.cli import prepared
    from revenue_assets.store import policies
    from revenue_assets.store.engine import open_store

    with _sentences(), contextlib.closing(open_store(prepared().store_url)) as store:
        text = policies.get(store, content_hash)
    click.echo(json.dumps(json.loads(text), indent=2, sort_keys=True))


@click.command()
@click.argument("directory", type=FOLDER)
def init(directory: Path) -> None:
    """Write a company's own configuration and dbt models into DIRECTORY, beside the installed package."""
    from revenue_assets.scaffold import scaffold

    with _sentences():
        files = scaffold(directory)
    for path in files:
        click.echo(f"  {path.relative_to(directory)}")
    click.echo(f"{len(files)} files in {directory}. Next: read {directory}/README.md")
