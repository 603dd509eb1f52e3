"""P5: "I do not know" is a state. Unknown outcomes settle, are looked up and go on by themselves, never wrongly.

The real worker and REST adapter against the emulated ERP on a simulated clock. The ERP forgets keys, answers 504 and
commits up to a minute later, drops connections after the commit, and shows documents up to a minute late; posters die
before and after a request.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from direct import Direct
from fake_erp import Killed
from ground import Ground, Outcome
from p12_outage import CHART, COMPANIES, planned
from sqlalchemy import select
from store_kit import FakeClock, House

from demo.erp_emulators.behaviour import Behaviour
from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.rest import TOKEN, RestFace
from revenue_assets.domain import posting_state as state
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.port import Journal
from revenue_assets.posting.erp.port import Outcome as Answer
from revenue_assets.posting.outbox import Limits, drain
from revenue_assets.store import exceptions, outbox
from revenue_assets.store.tables import posting_attempts

# Seconds. The settle time is longer than the longest request in flight and the index lag together.
LATE, LAG, SETTLE = 60.0, 60.0, 130
FAULTS = Behaviour(
    remembers_keys=False, index_lag=LAG, late_commit=LATE, gateway=0.35, drop_after_commit=0.25, storm_before=0.05,
    storm_after=0.15, throttle=0.02,
)  # fmt: skip
# Few, because a house that was begun is played to its end: an outcome that still settles is neither right nor wrong.
JOURNALS_PER_HOUSE = 200
DEATH = 0.03
LIMITS = Limits(attempts_max=100)


class Mortal:
    """The adapter in a process that dies now and then, before its request leaves or before its answer is written."""

    def __init__(self, port: GenericRestErp, dice: random.Random) -> None:
        self._port, self._dice = port, dice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def submit(self, documents: Sequence[Journal]) -> tuple[Answer, ...]:
        if self._dice.random() < DEATH:
            raise Killed
        answers = self._port.submit(documents)
        if self._dice.random() < DEATH:
            raise Killed
        return answers


def unknown_outcomes(ground: Ground, count: int) -> Outcome:
    """House after house until `count` outcomes were unknown."""
    result, number = Outcome(), 0
    while result.reached < count and not ground.is_over:
        journals = max(10, min(JOURNALS_PER_HOUSE, (count - result.reached) * 2 // 3))
        one_house(ground, journals, number, result)
        number += 1
    resolved = result.facts.get("resolved by the machine", 0)
    share = resolved / max(1, result.reached)
    result.check(share >= 0.99, f"only {share:.2%} of the unknown outcomes were resolved by the machine")
    result.facts |= {"resolved": f"{share:.2%}", "wrong": result.facts.get("wrong", 0)}
    return result


def one_house(ground: Ground, journals: int, number: int, result: Outcome) -> None:
    clock = FakeClock()
    house = planned(ground, journals, ("US",))
    face = RestFace(ground.root / f"erp-{number}", clock=lambda: clock.at.timestamp())
    face.setup(companies=COMPANIES, accounts=CHART, years=[2026])
    face.erp.behaviour, face.erp.seed = FAULTS, ground.seed + number
    face.erp.dice.seed(ground.seed + number)
    options = GenericOptions(settle_seconds=SETTLE, batch_size_max=10)
    made = GenericRestErp("http://127.0.0.1:1", {"token": TOKEN}, options, EXPONENTS, transport=Direct(face))
    ports: Mapping[str, Any] = {"US Inc": Mortal(made, ground.dice)}
    for _ in range(100_000):
        try:
            report = drain(house.store, ports, clock=clock, limits=LIMITS)
        except Killed:
            result.count("posters that died")
            continue
        if report.is_finished:
            break
        clock.sleep(30)
    judge(house, face, result)
    face.erp.ledger.close()
    house.store.close()


def judge(house: House, face: RestFace, result: Outcome) -> None:
    """Each unknown outcome by where its batch ended; wrong is a verified batch that is not there exactly once, and any
    document that is there twice."""
    copies = face.erp.copies()
    with house.store.read() as connection:
        query = select(posting_attempts.c.batch_key).where(posting_attempts.c.outcome == "unknown")
        unknown = Counter(connection.scalars(query))
        owned = {
            row.idempotency_key: row.owner_team
            for row in connection.execute(select(exceptions.exceptions))
            if row.status not in exceptions.DONE
        }
    for batch in outbox.all_batches(house.store):
        key = batch["batch_key"]
        times = unknown.get(key, 0)
        result.reached += times
        if batch["status"] == state.VERIFIED:
            result.count("resolved by the machine", times)
        wrong = copies.get(key, 0) > 1 or (batch["status"] == state.VERIFIED and copies.get(key, 0) != 1)
        if wrong:
            result.count("wrong")
            result.check(False, f"{key} is {batch['status']} and {copies.get(key, 0)} times in the ERP")
        if batch["status"] == state.DEAD:
            result.count("left to a person")
            result.check(bool(owned.get(key)), f"{key} is dead and nobody owns it")
