"""`revenue policy check`: every slip of a person in one go, each with file, line, row, field and fix."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from revenue_assets.cli import main
from revenue_assets.domain.config_check import Finding, check_config
from revenue_assets.settings import REPOSITORY
from revenue_assets.state import currency_exponents

DEMO = REPOSITORY / "config" / "demo"
POLICY = """policy:
  - entity: US
    colour: red
    set:
      recognitoin: ratable_daily
      schedule_rounding: random
      payment_tolerance: 0.5
      recon_tolerance: {R2: {absolut: 5, share: "1.5"}, R99: {days: -1}}
      intercompany_share: {performing_entity: FR, share: "0.40"}
      recon_owner: {ammount: Controller, fee: ""}
      discount_presentation: contra
  - {entity: UK, product_family: onbording, set: {recognition: point_in_time, net_lines: yes}}
  - {entity: UK, product_family: onbording, set: {recognition: ratable_daily}}
  - {entity: DE, currency: EUX, set: {}, set: {}}
  - {entity: DE, set: {intercompany_share: {performing_entity: DE, share: "1.40"}}}
"""
# (file, line, row, words of the message or the fix)
EXPECTED = [
    ("entities.yaml", 3, 2, "time zone"),
    ("accounts.yaml", 3, 1, 'write "0400" in quotes'),
    ("accounts.yaml", 4, 2, "must be text; it is 1050"),
    ("policy.yaml", 3, 1, "unknown key 'colour'"),
    ("policy.yaml", 5, 1, "did you mean 'recognition'?"),
    ("policy.yaml", 6, 1, "schedule_rounding must be one of largest_remainder"),
    ("policy.yaml", 7, 1, "0.5 is a binary floating-point number"),
    ("policy.yaml", 8, 1, "recon_tolerance.R2 has unknown key 'absolut'; did you mean 'absolute'"),
    ("policy.yaml", 8, 1, "recon_tolerance.R2.share must lie between 0 and 1; it is 1.5"),
    ("policy.yaml", 8, 1, "recon_tolerance names 'R99'"),
    ("policy.yaml", 8, 1, "recon_tolerance.R99.days must be a whole number of days"),
    ("policy.yaml", 9, 1, "performing_entity 'FR' is not in entities.yaml"),
    ("policy.yaml", 10, 1, "unknown class 'ammount'"),
    ("policy.yaml", 10, 1, "recon_owner.fee names no owner"),
    ("policy.yaml", 13, 3, "recognition is already set for the same entity, family and currency in row 2"),
    ("policy.yaml", 14, 4, "key 'set' is already set on line 14"),
    ("policy.yaml", 14, 4, "'EUX' is no currency"),
    ("policy.yaml", 15, 5, "performing_entity is the contracting entity itself"),
    ("policy.yaml", 15, 5, "intercompany_share.share must lie between 0 and 1; it is 1.40"),
    ("sources.yaml", 6, 1, "never the value itself"),
    ("reconciliations.yaml", 3, 1, "R1 has no owner"),
    ("reconciliations.yaml", 6, 4, "add `owner`"),
    ("policy.yaml", 1, None, "key 'policy' is already in company.yaml"),
    ("accounts.yaml", 2, None, "entity UK has no account for role fees"),
    ("accounts.yaml", 2, None, "entity US has no account for role discounts (policy discount_presentation is contra)"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "company"))


def change(folder: Path, file: str, *pairs: tuple[str, str]) -> None:
    text = (folder / file).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / file).write_text(text)


def without(folder: Path, file: str, *words: str) -> None:
    lines = (folder / file).read_text().splitlines(keepends=True)
    (folder / file).write_text("".join(line for line in lines if not any(w in line for w in words)))


def found(findings: list[Finding], file: str, line: int | None, row: int | None, words: str) -> bool:
    return any((f.file, f.line, f.row) == (file, line, row) and words in f"{f.message} {f.fix}" for f in findings)


def test_every_slip_is_named_in_one_go(folder: Path) -> None:
    (folder / "policy.yaml").write_text(POLICY)
    change(folder, "entities.yaml", ("Europe/London", "Europe/Londn"))
    change(folder, "accounts.yaml", ('"1000"', "0400"), ('"1050"', "1050"))
    without(folder, "accounts.yaml", "role: fees", "role: discounts")
    change(folder, "sources.yaml", ("env:CRM_CLIENT_SECRET", "hunter2"))
    change(folder, "reconciliations.yaml", ("owner: RevOps", 'owner: " "'), ("owner: AR, ", ""))
    change(folder, "company.yaml", ("launcher: ", "policy: []\nlauncher: "))
    findings = check_config(folder, currencies=frozenset(currency_exponents()))
    shown = "\n".join(str(f) for f in findings)
    missed = [e for e in EXPECTED if not found([f for f in findings if f.is_error], *e)]
    assert not missed, f"{missed}\n{shown}"
    assert "hunter2" not in shown
    assert len([f for f in findings if f.is_error]) == len(EXPECTED) + 2, shown  # fees of US and DE


def test_what_is_only_odd_is_a_warning(folder: Path) -> None:
    change(folder, "policy.yaml", ("product_family: onboarding", "product_family: onbording"))
    change(folder, "policy.yaml", ("{recognition: point_in_time}", "{recognition: point_in_time, net_lines: true}"))
    change(folder, "entities.yaml", ("Meridian Ltd", "CHANGE ME"))
    findings = check_config(folder, sold_families=frozenset({"platform", "seats", "usage", "onboarding"}))
    assert [f for f in findings if f.is_error] == []
    words = " ".join(str(f) for f in findings)
    assert "nobody sells family 'onbording'" in words
    assert "did you mean 'onboarding'?" in words
    assert "this narrowed row is ignored" in words
    assert "is still a placeholder" in words


def test_partner_of_a_shared_revenue_needs_its_accounts(folder: Path) -> None:
    share = 'closed_period_policy: first_open\n      intercompany_share: {performing_entity: UK, share: "0.4"}'
    change(folder, "policy.yaml", ("closed_period_policy: first_open", share))
    without(folder, "accounts.yaml", "role: intercompany_")
    messages = [f.message for f in check_config(folder) if f.is_error]
    assert any(m.startswith("entity US has no account for role intercompany_payable") for m in messages)
    assert any(m.startswith("entity UK has no account for role intercompany_receivable") for m in messages)
    assert not any(m.startswith("entity DE") for m in messages)


def test_command_says_it_and_sets_the_exit_code(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path / "home"))
    good = CliRunner().invoke(main, ["policy", "check", "--config", str(folder)])
    assert (good.exit_code, "0 errors" in good.output) == (0, True), good.output
    (folder / "erp.yaml").unlink()
    (folder / "entities.yaml").write_text("entities: [")
    bad = CliRunner().invoke(main, ["policy", "check", "--config", str(folder), "--json"])
    assert bad.exit_code == 1
    report = json.loads(bad.output)
    assert not report["ok"]
    assert {"erp.yaml", "entities.yaml"} <= {f["file"] for f in report["findings"] if f["severity"] == "error"}
    assert not (tmp_path / "home").exists()
