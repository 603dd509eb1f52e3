"""`schedules_owner: erp`: recognition over time is computed, counted and never booked by us."""

from __future__ import annotations

from pathlib import Path

import duckdb
from store_kit import AS_OF, House, invoice, recognition

from revenue_assets.close.gates import Books, _journal
from revenue_assets.posting.booking import book

ERP = {"US": {"schedules_owner": "erp"}}
LINES = [
    invoice("i1", "2026-01-10", 900),
    recognition("r1", "2026-01-31", 300),
    invoice("i2", "2026-01-10", 800, entity="DE"),
    recognition("r2", "2026-01-31", 200, entity="DE"),
]


def booked(house: House) -> list[tuple[str, int]]:
    """Entries that stand in the books, with how many lines of theirs were ever written."""
    query = f"select entry_key, count(*) from read_parquet('{house.journal.lines}/*.parquet') group by 1 order by 1"
    return house.sql(query)


def test_only_the_other_entity_is_recognised_by_us(tmp_path: Path) -> None:
    house = House.build(tmp_path / "home", policy=ERP)
    house.should(*LINES)
    report = book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    assert (report.left_to_erp, report.entries_booked) == (1, 3)
    assert [key for key, _ in booked(house)] == ["i1", "i2", "r2"]
    with duckdb.connect(str(house.warehouse), read_only=True) as warehouse:
        lines = f"read_parquet('{house.journal.lines}/*.parquet')"
        (gate,) = _journal(Books(house.store, warehouse, lines, "", house.state, AS_OF), "US", "2026-01")
    assert gate.is_green, gate.sentence


def test_what_was_booked_before_the_erp_took_over_stays(tmp_path: Path) -> None:
    house = House.build(tmp_path / "home")
    house.should(*LINES)
    assert book(house.store, house.journal, house.warehouse, house.state, AS_OF).entries_booked == 4
    house.write_masters(policy=ERP)
    house.should(*LINES, recognition("r3", "2026-02-28", 300))
    report = book(house.store, house.journal, house.warehouse, house.state, AS_OF)
    assert (report.booking_id, report.left_to_erp) == (None, 2)
    assert ("r1", 2) in booked(house)
    # Taken back by us: only what nobody booked is booked.
    house.write_masters()
    assert book(house.store, house.journal, house.warehouse, house.state, AS_OF).entries_booked == 1
