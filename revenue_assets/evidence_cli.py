"""`revenue evidence PERIOD` and `revenue evidence verify PACKAGE`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from revenue_assets.audit_cli import BROKEN


class _PeriodFirst(click.Group):
    """`evidence 2026-10` means `evidence make 2026-10`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["make", *args])


@click.group(cls=_PeriodFirst)
def evidence() -> None:
    """All that an auditor asks about a period, in one package that verifies without the platform:
    `revenue evidence 2026-10`."""


@evidence.command()
@click.argument("period")
@click.option("--entity", "wanted", multiple=True, help="Only this legal entity; may be repeated.  [default: all]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder, or file ending in .zip.  [default: evidence-PERIOD.zip]"
)
def make(period: str, wanted: tuple[str, ...], out: Path | None) -> None:
    """Write the package of PERIOD (YYYY-MM), and verify it."""
    import dagster as dg

    from revenue_assets.cli import PERIOD, prepared, sentences
    from revenue_assets.domain.config import load_company
    from revenue_assets.settings import actor
    from revenue_assets.store.engine import open_store

    if not PERIOD.fullmatch(period):
        raise click.ClickException(f"{period!r} is not a month; write YYYY-MM, such as 2026-09.")
    settings = prepared()
    with sentences():
        company = load_company(settings.config)
        entities = [e.id for e in company.entities]
        unknown = sorted(set(wanted) - set(entities))
        if unknown:
            raise click.ClickException(f"there is no entity {', '.join(unknown)}; known are {', '.join(entities)}.")
        from revenue_assets.build import build_defs
        from revenue_assets.evidence.package import make as make_package

        target = (out or Path(f"evidence-{period}.zip")).absolute()
        with contextlib.closing(open_store(settings.store_url)) as store, dg.DagsterInstance.get() as instance:
            made = make_package(
                settings, store, company.id, period, [e for e in entities if not wanted or e in wanted], target,
                definitions=build_defs(), instance=instance, made_by=actor(),
            )  # fmt: skip
    for sentence in made.remarks:
        click.echo(f"note  {sentence}")
    if not made.is_signed:
        click.echo("note  Not signed: REVENUE_AUDIT_KEY names no key.")
    _verify(target, None)
    click.echo(f"{target}")


@evidence.command()
@click.argument("package", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--public-key", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of the Ed25519 key that manifest and anchors must be signed with.",
)  # fmt: skip
def verify(package: Path, public_key: Path | None) -> None:
    """Compute everything in PACKAGE anew; the first thing that is wrong is named. Exit 0: all holds. Exit 3: not."""
    _verify(package, public_key)


def _verify(package: Path, public_key: Path | None) -> None:
    from revenue_assets.evidence import verify as verifier

    try:
        for sentence in verifier.verify(package, public_key.read_text(encoding="utf-8") if public_key else None):
            click.echo(f"ok    {sentence}")
    except verifier.Wrong as wrong:
        click.echo(f"WRONG {wrong}")
        sys.exit(BROKEN)
