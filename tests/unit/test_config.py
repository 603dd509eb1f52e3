"""The config reader: a person's slip becomes a sentence with file, place and fix; nothing is guessed."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from revenue_assets.domain.config import load_company
from revenue_assets.domain.strict_yaml import ConfigError
from revenue_assets.settings import REPOSITORY, Settings, SettingsError
from revenue_assets.state import write_config_state

DEMO = REPOSITORY / "config" / "demo"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "company"))


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_demo_company_loads_and_its_hash_ignores_addresses(folder: Path) -> None:
    before = load_company(folder)
    change(folder, "sources.yaml", "env:CRM_BASE_URL", "env:OTHER_BASE_URL")
    assert load_company(folder).content_hash == before.content_hash
    change(folder, "policy.yaml", "schedule_rounding: cumulative", "schedule_rounding: last_absorbs")
    assert load_company(folder).content_hash != before.content_hash


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("accounts.yaml", 'code: "1000"', "code: 0400", '"0400"'),
        ("accounts.yaml", 'code: "1000"', "code: 1000", "put it in quotes"),
        ("policy.yaml", "schedule_rounding: cumulative", "schedule_roundng: cumulative", "schedule_rounding"),
        ("policy.yaml", "schedule_rounding: cumulative", "schedule_rounding: random", "must be one of"),
        ("policy.yaml", "- entity: US", "- entity: FR", "'FR' is not in entities.yaml"),
        ("reconciliations.yaml", "tolerance_absolute", "tolernace_absolute", "tolerance_absolute"),
        ("reconciliations.yaml", "tolerance_absolute: 1", "tolerance_absolute: 0.01", "floating-point"),
        ("sources.yaml", "env:CRM_CLIENT_SECRET", "hunter2hunter2", "never the value itself"),
        ("sources.yaml", "env:CRM_BASE_URL", "file:relative/path", "must be a reference"),
        ("entities.yaml", "America/New_York", "New_York", "IANA time zone"),
        ("company.yaml", "id: meridian", "id: meridian\nid: other", "already set on line"),
        ("company.yaml", "id: meridian", "id: !!python/object/apply:os.system ['id']", "tag"),
        ("company.yaml", "id: meridian", "id: &a meridian\nother: *a", "aliases"),
    ],
)
def test_slips_are_refused_with_the_fix(folder: Path, file: str, old: str, new: str, message: str) -> None:
    change(folder, file, old, new)
    with pytest.raises(ConfigError) as refused:
        load_company(folder)
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_missing_file_is_named(folder: Path) -> None:
    (folder / "erp.yaml").unlink()
    with pytest.raises(ConfigError, match=r"erp\.yaml: no such file"):
        load_company(folder)


def test_state_holds_every_policy_row_with_the_hash(tmp_path: Path) -> None:
    company = load_company(DEMO)
    write_config_state(company, tmp_path)
    rows = duckdb.sql(f"select distinct policy_hash from '{tmp_path}/policy.parquet'").fetchall()
    assert rows == [(company.content_hash,)]
    roles = duckdb.sql(f"select count(*) from '{tmp_path}/accounts.parquet' where entity_id = 'UK'").fetchall()
    assert roles == [(len(company.accounts),)]


def test_unknown_environment_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVENUE_ENV", "prod")
    with pytest.raises(SettingsError, match="must be one of: local, deploy"):
        Settings.load()


@pytest.mark.parametrize("text", ["2026-13-01", "2026-1-1", "yesterday", "2026-09-01; rm -rf /"])
def test_bad_cut_off_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REVENUE_AS_OF", text)
    with pytest.raises(SettingsError, match="REVENUE_AS_OF"):
        Settings.load()
