"""What `revenue` answers to a slip: one sentence, the right exit code, no traceback, and nothing done.

Exit code 2 is a command that is written wrong, 1 one that cannot be done now.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from demo_home import DemoHome, Said

from revenue_assets.settings import REPOSITORY


@pytest.fixture
def home(tmp_path: Path) -> DemoHome:
    """A home in which nothing has happened yet, with the demo's cut-off."""
    home = DemoHome(tmp_path / "home", {"REVENUE_AS_OF": "2026-10-31"})
    home.path.mkdir()
    return home


def assert_sentence(said: Said, code: int, *parts: str) -> None:
    """Exit code, one `Error:` with these words and nothing after it, no traceback, nothing on stdout."""
    assert said.code == code, said.all
    assert said.is_plain, said.all
    head, _, sentence = said.err.partition("Error: ")
    assert sentence, said.all
    assert len(sentence.strip().splitlines()) == 1, said.all
    assert sentence.strip()[-1] in ".?", said.all
    assert bool(head) is (code == 2), said.all  # a slip in writing shows the usage first
    for part in parts:
        assert part in sentence, said.all
    assert said.out == ""


@pytest.mark.parametrize("period", ["2026-13", "2026-9", "2026-09; rm -rf /", "2026-00", "٢٠٢٦-09", ""])
def test_a_period_that_is_none_is_a_usage_error(home: DemoHome, period: str) -> None:
    said = home.revenue("close", period)
    assert_sentence(said, 2, repr(period), "YYYY-MM")
    assert "Usage: revenue close" in said.err
    assert {p.name for p in home.path.iterdir()} == {"commands.log"}, "nothing was begun"


@pytest.mark.parametrize("period", ["2026-11", "2031-01"])
def test_a_month_that_is_not_over_is_refused_with_the_reason(home: DemoHome, period: str) -> None:
    assert_sentence(home.revenue("close", period), 1, f"{period} cannot close", "the cut-off is 2026-10-31")


def test_a_month_before_all_books_is_refused_with_the_reason(home: DemoHome) -> None:
    assert_sentence(home.revenue("close", "2017-12"), 1, "2017-12 cannot close", "2018-01")


@pytest.mark.parametrize("command", [["status"], ["demo"], ["close", "2026-09"]])
def test_an_unknown_environment_is_said_so(home: DemoHome, command: list[str]) -> None:
    assert_sentence(home.revenue(*command, REVENUE_ENV="prod"), 1, "REVENUE_ENV is 'prod'", "local, deploy")
    assert {p.name for p in home.path.iterdir()} == {"commands.log"}, "nothing was begun"


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["trace", "nonsense"]])
def test_before_anything_was_published_a_read_says_what_to_run(home: DemoHome, command: list[str]) -> None:
    assert_sentence(home.revenue(*command), 1, "nothing has been published", "`revenue demo`")


@pytest.mark.parametrize("command", [["post"], ["close", "2026-09"]])
def test_without_a_company_a_command_that_needs_one_says_so(home: DemoHome, command: list[str]) -> None:
    assert_sentence(home.revenue(*command), 1, "no demo company", "`revenue demo` makes it")


@pytest.mark.parametrize(
    ("option", "value", "limits"),
    [("--months", "0", "1 and 60"), ("--seed", "-1", "0 and"), ("--customers", "0", "1 and")],
)
def test_a_size_out_of_range_is_refused_before_anything_is_made(
    home: DemoHome, option: str, value: str, limits: str
) -> None:
    assert_sentence(home.revenue("demo", option, value), 1, f"{option} must lie between {limits}", f"it is {value}")
    assert not (home.path / "demo").exists()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("company.yaml", "id: !!python/object/apply:os.system ['touch pwned']\nname: A\ngroup_currency: USD\n", "tag"),
        ("accounts.yaml", "accounts:\n  - {role: cash, code: 0400, name: Cash, type: asset}\n", '"0400"'),
        ("company.yaml", "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n", "aliases"),
    ],
)
def test_a_config_that_is_no_plain_data_is_refused_with_its_place(
    home: DemoHome, tmp_path: Path, file: str, text: str, words: str
) -> None:
    config = _config(tmp_path)
    (config / file).write_text(text)
    assert_sentence(home.revenue("post", REVENUE_CONFIG=str(config)), 1, file, "line", words)
    assert not list(tmp_path.rglob("pwned"))


def test_a_misspelt_key_is_answered_with_the_nearest(home: DemoHome, tmp_path: Path) -> None:
    config = _config(tmp_path)
    path = config / "reconciliations.yaml"
    path.write_text(path.read_text().replace("tolerance_absolute", "tolernace_absolute", 1))
    said = home.revenue("post", REVENUE_CONFIG=str(config))
    assert_sentence(said, 1, "reconciliations.yaml", "tolernace_absolute", "tolerance_absolute")


def test_a_secret_in_the_config_is_refused_and_not_repeated(home: DemoHome, tmp_path: Path) -> None:
    config = _config(tmp_path)
    path = config / "sources.yaml"
    path.write_text(path.read_text().replace("env:CRM_CLIENT_SECRET", "sk_live_abc123", 1))  # pragma: allowlist secret
    said = home.revenue("post", REVENUE_CONFIG=str(config))
    assert_sentence(said, 1, "sources.yaml", "env:")
    assert "abc123" not in said.all


def test_an_address_that_is_a_file_is_refused(home: DemoHome, tmp_path: Path) -> None:
    config = _config(tmp_path)
    path = config / "sources.yaml"
    path.write_text(path.read_text().replace("env:CRM_BASE_URL", "file:///etc/passwd", 1))
    said = home.revenue("post", REVENUE_CONFIG=str(config))
    assert said.code == 1, said.all
    assert said.is_plain, said.all
    assert "root:" not in said.all


def _config(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPOSITORY / "config" / "demo", tmp_path / "company"))
