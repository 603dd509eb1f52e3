"""`revenue`: the command line, thin over the same code that Dagster runs. Every read has `--json`."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from revenue_assets import __version__
from revenue_assets.approvals_cli import approvals
from revenue_assets.audit_cli import audit
from revenue_assets.evidence_cli import evidence
from revenue_assets.exceptions_cli import exceptions
from revenue_assets.period_cli import period as period_group
from revenue_assets.policy_cli import init, policy
from revenue_assets.settings import Settings
from revenue_assets.shadow_cli import shadow

PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class PeriodType(click.ParamType):
    """A month written YYYY-MM."""

    name = "period"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not PERIOD.fullmatch(value):
            self.fail(f"{value!r} is not a month; write YYYY-MM, such as 2026-09.", param, ctx)
        return value


CONSOLE = sys.stdout


def echo(line: str) -> None:
    """One line of progress on the real console, whatever stands in for stdout meanwhile."""
    click.echo(line, file=CONSOLE)
    CONSOLE.flush()


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Errors that are meant for a person become one sentence and exit code 1, never a traceback."""
    try:
        yield
    except Exception as error:
        if isinstance(error, _told()):
            raise click.ClickException(str(error)) from error
        raise


# Errors whose message is a sentence, by the module that has them.
_TOLD = {
    "revenue_assets.domain.periods": "PeriodError",
    "revenue_assets.domain.strict_yaml": "ConfigError",
    "revenue_assets.project": "ManifestError",
    "revenue_assets.settings": "SettingsError",
    "revenue_assets.sources.base": "SourceError",
    "revenue_assets.store.engine": "StoreError",
    "revenue_assets.trace": "TraceError",
}


def _told() -> tuple[type[Exception], ...]:
    """Those of them that can have been raised: a module that nobody imported has raised nothing, and some are heavy."""
    return tuple(getattr(sys.modules[module], name) for module, name in _TOLD.items() if module in sys.modules)


@contextlib.contextmanager
def outside_systems(settings: Settings) -> Iterator[None]:
    """Runs the config's launcher (the demo's systems) around a command that talks to them; else does nothing."""
    from revenue_assets.domain.config import load_company

    launcher = load_company(settings.config).launcher
    if launcher is None or os.environ.get("ERP_BASE_URL"):
        yield
        return
    module, _, name = launcher.partition(":")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(getattr(importlib.import_module(module), name)(settings.home))
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
        yield


def prepared() -> Settings:
    """Settings of this process, with folders made and the environment exported."""
    with sentences():
        settings = Settings.load()
    settings.prepare()
    return settings


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Order to cash, from the CRM to the ERP, to the cent."""
    # A polite end unwinds like Ctrl-C does: what a command started is stopped with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    warnings.simplefilter("ignore")  # notes of libraries to their developers


@main.command()
@click.option("--seed", type=int, help="Which company; same seed, same bytes.  [default: 7]")
@click.option("--customers", type=int, help="How many customers.  [default: 300]")
@click.option("--months", type=int, help="How many months, ending October 2026.  [default: 15]")
def demo(seed: int | None, customers: int | None, months: int | None) -> None:
    """Play a whole company end to end: land, model, book, post to a real ERP, reconcile, close, publish."""
    from demo.run import run

    with sentences():
        home = Settings.load().home
        try:
            success = run(home, seed=seed, customers=customers, months=months, echo=echo)
        except RuntimeError as error:  # the demo's own errors are sentences
            raise click.ClickException(str(error)) from error
    if success:
        from revenue_assets.status import print_summary

        print_summary(prepared())
    sys.exit(0 if success else 1)


@main.command()
@click.argument("period", type=PeriodType())
def close(period: str) -> None:
    """Run everything for PERIOD (YYYY-MM) and lock it; refuses, with reasons, while a gate is red."""
    from revenue_assets.domain.config import load_company
    from revenue_assets.partitions import FIRST_PERIOD

    settings = prepared()
    as_of = settings.as_of
    if period < FIRST_PERIOD:
        raise click.ClickException(f"{period} cannot close: the first period is {FIRST_PERIOD}.")
    last = max(entity.periods.last_day(period) for entity in load_company(settings.config).entities)
    if last > as_of:  # a gate says so too, after minutes of work
        raise click.ClickException(f"{period} cannot close: it ends on {last}, the cut-off is {as_of}.")
    _job("monthly_close_job", period, then="publish_job")


@main.command()
def post() -> None:
    """Post what is booked and not yet in the ERP, and read it back."""
    _job("erp_posting_job", None)


@main.command()
def refresh() -> None:
    """Land, model, book, post, read back, reconcile and publish, without closing."""
    _job("refresh_job", None)


@main.command()
def publish() -> None:
    """Rebuild the published finance schema from the warehouse."""
    _job("publish_job", None)


def _job(name: str, period: str | None, then: str | None = None) -> None:
    settings = prepared()
    with sentences(), outside_systems(settings):
        from revenue_assets.build import build_defs
        from revenue_assets.runs import run_job

        definitions = build_defs()
        outcome = run_job(definitions, name, echo, first_period=period)
        if outcome.success and then:
            run_job(definitions, then, echo)
    for line in [*outcome.failures, *(f"red check: {c}" for c in outcome.red_checks)]:
        click.echo(line, err=True)
    state = "done" if outcome.success else "FAILED"
    echo(f"{name}: {state} in {outcome.seconds:.0f} s, {outcome.assets} assets, {outcome.checks} checks")
    sys.exit(0 if outcome.success else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(as_json: bool) -> None:
    """Tie-out of subledger and ERP, batches, open variances by class and owner, periods."""
    from revenue_assets.status import print_status, read_status

    with sentences():
        report = read_status(prepared())
    _print_json(report) if as_json else print_status(report)


@main.command()
@click.argument("identifier")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, unabridged.")
def trace(identifier: str, as_json: bool) -> None:
    """The whole chain around any id: opportunity, invoice, payment, journal line, posting key, ERP document."""
    from revenue_assets.trace import print_trace, read_trace

    with sentences():
        found = read_trace(prepared(), identifier)
    _print_json(found) if as_json else print_trace(found)


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI, on 127.0.0.1.")
def dev(port: int) -> None:
    """The Dagster UI on this home's data, with the demo's systems running; Ctrl-C stops everything."""
    settings = prepared()
    with sentences(), outside_systems(settings):
        echo(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C stops)")
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "-m", "revenue_assets.definitions"]
        # A session of its own: whatever `dagster dev` starts ends with it, also when it does not end by itself.
        process = subprocess.Popen(  # noqa: S603 - our interpreter's dagster
            [*command, "-h", "127.0.0.1", "-p", str(port)], start_new_session=True
        )
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            echo("Stopping ...")
        finally:
            _end_session(process)


def _end_session(process: subprocess.Popen[bytes]) -> None:
    for how, seconds in ((signal.SIGINT, 10), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


@main.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as JSON.")
def conformance(directory: Path, report: Path | None) -> None:
    """Run every worked example of DIRECTORY through the subledger in one build and compare to the cent."""
    import tempfile

    from revenue_assets.conformance.run import run

    with tempfile.TemporaryDirectory(prefix="revenue-conformance-") as work, sentences():
        sys.exit(run(directory, report, Path(work)))


main.add_command(approvals)
main.add_command(audit)
main.add_command(evidence)
main.add_command(exceptions)
main.add_command(period_group)
main.add_command(policy)
main.add_command(shadow)
main.add_command(init)


@main.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--source", "source_name", help="Which event source of sources.yaml, if there are several.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def ingest(files: tuple[str, ...], source_name: str | None, as_json: bool) -> None:
    """Validate and land CloudEvents, one a line, from FILE... (- reads standard input); exit code 1 if any is refused.

    Landing the same again adds nothing. A later `revenue refresh` models what has landed.
    """
    from revenue_assets.ingest import ingest as run
    from revenue_assets.ingest import print_report

    settings = prepared()
    with sentences():
        report = run(settings, files, source_name)
    _print_json(report) if as_json else print_report(report)
    sys.exit(1 if report["refused"] else 0)


@main.group()
def schemas() -> None:
    """The event contract, for senders and for the documentation."""


@schemas.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def schemas_export(directory: Path) -> None:
    """Write the JSON Schema of every event type into DIRECTORY."""
    from revenue_assets.domain.events.schemas import export

    click.echo(f"{len(export(directory))} schemas written to {directory}")


@schemas.command("docs")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def schemas_docs(file: Path | None) -> None:
    """Write the catalogue of events as Markdown to FILE, or to the console."""
    from revenue_assets.domain.events.catalogue import page

    click.echo(page(), nl=False) if file is None else file.write_text(page(), encoding="utf-8")


def _print_json(report: Any) -> None:
    click.echo(json.dumps(report, indent=2, default=str))


if __name__ == "__main__":
    main()
