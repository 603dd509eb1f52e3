"""Longer trials, collected only with `REVENUE_TRIALS=full` (`make test-full`): some 20 minutes on an idle machine.

More companies, each killed at seeded moments of its whole life and stopped by Ctrl-C in the middle of posting; then it
has to finish, hold every document once, score clean, and stay as it is through one more run. A failure names its
company; the moments come from its seed.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

import pytest
from demo_home import DemoHome, posting_reached

pytestmark = pytest.mark.timeout(7200)


@pytest.mark.parametrize(("seed", "customers", "months"), [(1, 8, 1), (23, 30, 4), (77, 15, 13)])
def test_any_company_survives_kills_at_any_moment(tmp_path: Path, seed: int, customers: int, months: int) -> None:
    home, choice = DemoHome(tmp_path / "home"), random.Random(seed)
    size = ("--seed", str(seed), "--customers", str(customers), "--months", str(months))
    for _ in range(3):
        until = time.monotonic() + choice.uniform(5, 150)
        process = home.start("demo", *size)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.wait()
    if set(home.batches().values()) != {"verified"}:
        process = home.start("demo", *size)
        home.kill_when(process, posting_reached(home, seed), signal.SIGINT)
        assert process.returncode == 1, home.log()
    said = home.revenue("demo", *size)
    assert said.code == 0, said.all
    first = home.books()
    assert set(first.batches.values()) == {"verified"}
    assert {len(moves) for moves in first.ours.values()} == {1}
    score = home.run(sys.executable, "-m", "demo.score", "--json")
    assert score.code == 0, score.all
    again = home.revenue("demo")
    assert again.code == 0, again.all
    assert home.books() == first
