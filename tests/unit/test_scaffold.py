"""`revenue init`: a company's own folder that can be used at once and never overwrites anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from revenue_assets.cli import main
from revenue_assets.domain.config import load_company
from revenue_assets.domain.config_check import check_config
from revenue_assets.settings import PACKAGE, Settings, SettingsError
from revenue_assets.state import currency_exponents


def test_fresh_folder_passes_the_check_and_says_what_is_a_placeholder(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["init", str(tmp_path / "acme")])
    assert said.exit_code == 0, said.output
    folder = tmp_path / "acme" / "config"
    findings = check_config(folder, currencies=frozenset(currency_exponents()))
    assert [str(f) for f in findings if f.is_error] == []
    placeholders = {(f.file, f.field) for f in findings if "placeholder" in f.message}
    assert {("company.yaml", "id"), ("entities.yaml", "erp_company")} <= placeholders
    assert {f.message.split(":")[0] for f in findings} == {"is still a placeholder"}
    assert load_company(folder).entity("MAIN").schedules_owner == "platform"
    variables = (tmp_path / "acme" / ".env.example").read_text()
    for file in folder.glob("*.yaml"):
        for name in {part.strip(" {},") for part in file.read_text().split("env:")[1:]}:
            word = name.split(",")[0].split("}")[0].split()[0]
            assert f"{word}=" in variables or word == "NAME", f"{file.name} needs {word}"
    assert f"REVENUE_OVERLAY={tmp_path / 'acme' / 'dbt'}" in variables


def test_rows_of_the_posting_policy_need_no_more_than_their_marks_taken_away(tmp_path: Path) -> None:
    """Each commented row of posting.yaml by itself, beside the items, is one that the check accepts."""
    CliRunner().invoke(main, ["init", str(tmp_path / "acme")])
    file = tmp_path / "acme" / "config" / "posting.yaml"
    text = file.read_text().replace("items: []", "items:").replace("#  - {product_family", "  - {product_family")
    lines = text.splitlines()
    offered = [n for n, line in enumerate(lines) if line.startswith("#  - ")]
    assert len(offered) >= 10
    assert [str(f) for f in check_config(file.parent) if f.is_error] == []
    for n in offered:
        section = max(k for k in range(n) if lines[k].endswith(": []"))
        taken = [*lines[:section], lines[section].removesuffix(" []"), lines[n].removeprefix("#"), *lines[n + 1 :]]
        file.write_text("\n".join(taken) + "\n")
        errors = [str(f) for f in check_config(file.parent) if f.is_error]
        assert errors == [], lines[n]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert said.exit_code == 1
    assert "is not empty" in said.output
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_templates_are_package_data() -> None:
    """A wheel holds every file below the package; what `revenue init` writes may stand nowhere else."""
    templates = PACKAGE / "templates" / "company"
    assert (templates / "config" / "policy.yaml").is_file()
    assert not [p for p in templates.rglob("*") if p.name.startswith(".")]


def test_own_models_are_named_to_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CliRunner().invoke(main, ["init", str(tmp_path / "acme")])
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REVENUE_OVERLAY", str(tmp_path / "acme" / "dbt"))
    exported = Settings.load().export()
    assert exported["REVENUE_OVERLAY_EVENT_SOURCES"] == "own"
    assert Path(exported["REVENUE_OVERLAY_MODELS"]) == tmp_path / "acme" / "dbt" / "models"
    monkeypatch.setenv("REVENUE_OVERLAY", str(tmp_path / "acme"))
    with pytest.raises(SettingsError, match="has no folder `models`"):
        Settings.load()
