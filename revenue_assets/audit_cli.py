"""`revenue audit ...`: what an auditor asks of the log of state changes."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click

# Exit codes: 0 whole, 1 could not be checked (as everywhere), 3 broken.
BROKEN = 3


@click.group()
def audit() -> None:
    """The append-only log of every state change: is it what was written?"""


@audit.command()
@click.option(
    "--anchor", "file", type=click.Path(dir_okay=False, path_type=Path), help="[default: REVENUE_AUDIT_ANCHOR]"
)
@click.option(
    "--public-key", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of the Ed25519 key that the anchor file must be signed with.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def verify(file: Path | None, public_key: Path | None, as_json: bool) -> None:
    """Recompute the whole chain and compare it with the heads kept outside the store.

    Exit 0: nothing was changed, taken out, put in or cut off. Exit 3: the first link that is not what was recorded is
    named. Exit 1: it could not be checked.
    """
    from revenue_assets.cli import sentences
    from revenue_assets.settings import Settings
    from revenue_assets.store.engine import open_store

    with sentences():
        settings = Settings.load()
        with contextlib.closing(open_store(settings.store_url)) as store:
            report = _verify(store, file or settings.audit_anchor, public_key)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        for line in _words(report):
            click.echo(line)
    sys.exit(BROKEN if report["problem"] else 0)


@audit.command()
def anchor() -> None:
    """Write the log's head to the anchor file now; every step of a run does so by itself."""
    from revenue_assets.cli import prepared, sentences
    from revenue_assets.store import anchor as anchors
    from revenue_assets.store.engine import open_store

    settings = prepared()
    with sentences(), contextlib.closing(open_store(settings.store_url)) as store:
        head = anchors.write(store, settings.audit_anchor, private_key=settings.audit_key())
    click.echo(f"link {head.link_no} {head.hash} is anchored in {settings.audit_anchor}")


def _verify(store: Any, file: Path, public_key: Path | None) -> dict[str, Any]:
    from revenue_assets.store import anchor as anchors
    from revenue_assets.store.audit import walk

    heads, anchor_problem = [], None
    try:
        heads = anchors.read(file, public_key=public_key.read_text(encoding="utf-8") if public_key else None)
    except anchors.AnchorError as error:
        anchor_problem = str(error)
    verdict = walk(store, anchors=heads)
    last = max((h.link_no for h in heads), default=0)
    return {
        "links": verdict.links,
        "entries": verdict.entries,
        "head": verdict.head,
        "first_bad_link": verdict.bad_link,
        "problem": verdict.problem or anchor_problem,
        "anchor_file": str(file),
        "anchors": len(heads),
        "anchored_to_link": last,
        "signed": bool(public_key and heads and not anchor_problem),
    }


def _words(report: dict[str, Any]) -> list[str]:
    if report["problem"]:
        sound = f"Sound from the start: {report['links']:,} links with {report['entries']:,} entries."
        return [f"BROKEN: {report['problem']}", sound, f"Anchor file: {report['anchor_file']}"]
    out = [
        f"The log is whole: {report['links']:,} links, {report['entries']:,} entries, each as it was recorded.",
        f"Head: {report['head']}",
    ]
    if not report["anchors"]:
        return [*out, f"No anchor in {report['anchor_file']}: a tail that was cut off would not show."]
    after = report["links"] - report["anchored_to_link"]
    signed = "signed, all signatures hold" if report["signed"] else "signatures not checked (--public-key)"
    return [
        *out,
        f"Anchored to link {report['anchored_to_link']:,} by {report['anchors']:,} lines of {report['anchor_file']}, "
        f"{signed}; {after:,} links since.",
    ]
