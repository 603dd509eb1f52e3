"""`revenue ingest`: what lands, what is refused and why, and that nothing lands twice, by whatever way it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from event_inputs import changed, event

from revenue_assets.cli import main
from revenue_assets.domain.config import load_company
from revenue_assets.domain.strict_yaml import ConfigError
from revenue_assets.ingest import event_source, ingest
from revenue_assets.landing import read
from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingWriter
from revenue_assets.settings import REPOSITORY, Settings
from revenue_assets.sources.cloudevents import CloudEventsSource
from revenue_assets.store.cursors import StoredCursors
from revenue_assets.store.engine import open_store
from revenue_assets.store.landing import all_batches

GOOD = event("invoice.posted", "inv-1")
BAD = event("invoice.posted", "inv-2", changed("invoice.posted", "lines.0.amount", 90.5))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in Settings.load().export().items():
        monkeypatch.setenv(name, value)  # what a command exports into this process is taken back
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REVENUE_STORE_URL")
    return tmp_path / "home"


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def run(*arguments: str, stdin: str | None = None) -> tuple[Result, dict[str, Any]]:
    result = CliRunner().invoke(main, ["ingest", "--json", *arguments], input=stdin)
    return result, json.loads(result.stdout) if result.exit_code in (0, 1) else {}


def test_good_lines_land_and_a_bad_one_is_refused_by_name(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, BAD, "", event("payment.failed", "pay-1"))
    result, report = run(str(path))
    assert result.exit_code == 1
    assert (report["read"], report["landed"], report["repeated"], report["conflicts"]) == (3, 2, 0, [])
    [reason] = report["refused"]
    assert reason.startswith("file a.jsonl line 2: data.lines[0].amount must be a JSON integer of minor units")
    assert reason.endswith("[schema_invalid; owner: Billing ops]")
    assert sum(batch.rows for batch in read.batches(home / "landing", "events", "cloud_event")) == 2
    letters = read.batches(home / "quarantine", "events", "cloud_event")
    assert sum(batch.rows for batch in letters) == 1
    registered = all_batches(open_store(Settings.load().store_url))
    assert sum(batch["row_count"] for batch in registered) == 2
    assert all(batch["committed_at"] for batch in registered)


def test_landing_twice_adds_nothing_by_file_pipe_or_drop_folder(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    assert run(str(path))[1]["landed"] == 1
    again, report = run(str(path), "-", stdin=json.dumps(GOOD))
    assert (again.exit_code, report["landed"], report["repeated"]) == (0, 0, 2)
    drop = home / "drop" / "events"
    drop.mkdir(parents=True)
    write(drop / "b.jsonl", GOOD, event("invoice.posted", "inv-3"))
    settings = Settings.load()
    source = CloudEventsSource("events", None, options={"drop": str(drop)})
    writer = LandingWriter(settings.landing, settings.quarantine, "run")
    now = read.last_landed_at(settings.landing, "events", "cloud_event")
    assert now is not None
    [result] = land(source, ["cloud_event"], writer, StoredCursors(open_store(settings.store_url)), now)
    assert (result.rows_landed, result.rows_unchanged) == (1, 1)


def test_other_content_under_one_identity_is_a_conflict_that_is_kept(tmp_path: Path) -> None:
    other = event("invoice.posted", "inv-1", changed("invoice.posted", "lines.0.amount", 1))
    result, report = run(str(write(tmp_path / "a.jsonl", GOOD, other)))
    assert result.exit_code == 0
    assert (report["landed"], report["conflicts"]) == (2, [{"source": "/acme/billing", "id": "inv-1"}])
    assert run(str(tmp_path / "a.jsonl"))[1]["conflicts"] == []


def test_a_mended_line_lands_under_its_identity_and_its_letter_keeps_one_id(tmp_path: Path, home: Path) -> None:
    run(str(write(tmp_path / "a.jsonl", BAD)))
    run(str(write(tmp_path / "b.jsonl", "", BAD)))
    letters = read.batches(home / "quarantine", "events", "cloud_event")
    frame = read.fields_frame(letters, ["id"])
    assert len(frame) == 2  # refused in two places ...
    assert frame["_record_id"].nunique() == 1  # ... it is one dead letter
    assert frame["id"].unique().tolist() == ["inv-2"]
    result, report = run(str(write(tmp_path / "c.jsonl", event("invoice.posted", "inv-2"))))
    assert (result.exit_code, report["landed"], report["conflicts"]) == (0, 1, [])


def test_unfit_files_are_refused_whole_and_a_missing_one_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "utf16.jsonl").write_bytes(json.dumps(GOOD).encode("utf-16"))
    (tmp_path / "cut.jsonl").write_text(json.dumps(GOOD) + "\n")
    (tmp_path / "cut.jsonl.manifest").write_text('{"rows": 2}')
    result, report = run(*(str(tmp_path / f"{name}.jsonl") for name in ("empty", "utf16", "cut")))
    assert (result.exit_code, report["landed"], len(report["refused"])) == (1, 0, 3)
    assert run(str(tmp_path / "absent.jsonl"))[0].exit_code == 2


def test_a_config_without_event_source_says_what_to_add(tmp_path: Path) -> None:
    company = load_company(REPOSITORY / "config" / "demo")
    others = [source for source in company.sources if source.vendor != "cloudevents"]
    with pytest.raises(ConfigError, match=r"add  - \{name: events, vendor: cloudevents\}"):
        event_source(company.model_copy(update={"sources": others}), None)
    with pytest.raises(ConfigError, match="no event source 'billing'"):
        ingest(Settings.load(), [], "billing")
