"""Seeds of the simulator. Some by default; `make simulate` runs thousands. A failing seed names itself and repeats."""

from __future__ import annotations

import os

import pytest
from company import Company
from fake_erp import BEHAVIOURS

SEEDS = int(os.environ.get("REVENUE_SIMULATION_SEEDS", "2"))


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_a_seed_keeps_every_promise(seed, behaviour):
    Company(seed, behaviour).run()


def test_a_seed_gives_the_same_trace_again():
    first, second = Company(7).run().kernel, Company(7).run().kernel
    assert first.trace == second.trace
    assert first.trace_hash != Company(8).run().kernel.trace_hash
