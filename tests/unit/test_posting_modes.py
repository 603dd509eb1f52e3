"""posting.yaml on the real cut: what is posted now, what waits and why, what is only compared, and going live once."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from fake_erp import FakeErp
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from store_kit import AS_OF, House, entry, invoice, recognition

from revenue_assets.posting.batches import CutReport, cut
from revenue_assets.posting.booking import book
from revenue_assets.posting.outbox import drain, ready
from revenue_assets.posting.unposted import summary
from revenue_assets.store import exceptions, outbox, periods, policies
from revenue_assets.store.clock import SystemClock
from revenue_assets.store.export import export_state

SALES, EARNED = "invoice.posted", "revenue.recognised"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.build(tmp_path)


def run(house: House, as_of: dt.date = AS_OF, **more: Any) -> CutReport:
    book(house.store, house.journal, house.warehouse, house.state, as_of)
    return cut(house.store, house.journal, house.state, as_of, tenant="t", **more)


def modes(house: House) -> list[tuple[str, str, str]]:
    return sorted((b["mode"], b["event_class"], b["period"]) for b in outbox.all_batches(house.store))


def waits(house: House) -> dict[tuple[str, str], tuple[str, int]]:
    return {(r["entity_id"], r["event_class"]): (r["waits"], r["lines"]) for r in summary(house.state)}


def opened(house: House) -> dict[str, dict[str, Any]]:
    return {e["category"]: e for e in exceptions.all_exceptions(house.store, open_only=True)}


def test_off_is_booked_and_never_cut(house: House) -> None:
    house.write_posting(posting=[{"entity": "US", "event_class": SALES, "set": {"posting_mode": "off"}}])
    house.should(invoice("i1", "2026-01-05", 100), invoice("u1", "2026-01-05", 7, entity="UK"))
    report = run(house)
    assert (report.batches, report.waiting, len(house.booked())) == (1, {"off": 2}, 4)
    assert waits(house) == {("US", SALES): ("off", 2)}
    assert not opened(house), "off is a decision, not an exception"


def test_a_deferred_item_is_listed_with_owner_and_reason_until_its_day(house: House) -> None:
    held = {"posting_kind": "deferred", "owner": "Controller", "reason": "price dispute", "release_on": "2026-04-02"}
    house.write_posting(posting=[{"entity": "US", "product_family": "usage", "set": held}])
    house.should(recognition("r1", "2026-01-31", 10), recognition("r2", "2026-01-31", 5, family="usage"))
    assert (run(house).members, run(house).waiting) == (2, {"deferred": 2})
    item = opened(house)["deferred_posting"]
    assert (item["owner_team"], item["amount"], item["blocks_close"]) == ("Controller", 5, True)
    assert "until 2026-04-02: price dispute" in item["error_message"]
    released = run(house, dt.date(2026, 4, 2))
    assert (released.members, released.waiting, opened(house)) == (2, {}, {})


def test_a_deferred_item_is_released_by_policy_too(house: House) -> None:
    held = {"posting_kind": "deferred", "owner": "Controller", "reason": "price dispute"}
    house.write_posting(posting=[{"event_class": SALES, "set": held}])
    house.should(invoice("i1", "2026-01-05", 100))
    assert run(house, dt.date(2027, 1, 1)).waiting == {"deferred": 2}
    house.write_posting(posting=[])
    assert (run(house).batches, opened(house)) == (1, {})


def test_a_shadow_batch_can_never_become_a_live_one(house: House) -> None:
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": "shadow"}}])
    house.should(invoice("i1", "2026-01-05", 100))
    run(house)
    with pytest.raises(IntegrityError, match="mode of a batch never changes"), house.store.write() as connection:
        connection.execute(text("update posting_batches set mode = 'live'"))


def test_delivery_modes_take_lines_when_they_say(house: House) -> None:
    house.write_posting(
        posting=[
            {"entity": "US", "set": {"delivery_mode": "near_real_time"}},
            {"entity": "UK", "set": {"delivery_mode": "scheduled", "summary_at": "day_end"}},
            {"entity": "DE", "set": {"delivery_mode": "scheduled"}},
        ]
    )
    day = "2026-03-10"
    house.should(*(invoice(e, day, 5, entity=e) for e in ("US", "UK", "DE")))
    at = dt.date.fromisoformat(day)
    assert run(house, at).waiting == {"near_real_time": 2, "scheduled": 4}
    assert (run(house, at, tick=True).batches, modes(house)) == (1, [("live", SALES, "2026-03")])
    assert run(house, at + dt.timedelta(days=1)).batches == 1  # the day is over
    assert run(house, dt.date(2026, 3, 30)).waiting == {"scheduled": 2}
    assert run(house, dt.date(2026, 3, 31)).waiting == {}
    assert len(modes(house)) == 3


def test_an_entry_of_two_families_takes_the_more_cautious(house: House) -> None:
    held = {"posting_kind": "deferred", "owner": "o", "reason": "r"}
    house.write_posting(
        posting=[
            {"event_class": EARNED, "set": held},
            {"event_class": EARNED, "product_family": "platform", "set": {"posting_kind": "summary"}},
        ]
    )
    both = [*recognition("r2", "2026-01-31", 5), *recognition("r2", "2026-01-31", 5, family="usage")]
    for number, line in enumerate(both, 1):
        line["line_no"], line["entry_hash"] = number, "both"
    house.should(recognition("r1", "2026-01-31", 10), both)
    assert (run(house).members, run(house).waiting) == (2, {"deferred": 4})


def test_shadow_batches_are_cut_compared_and_never_sent(house: House) -> None:
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": "shadow"}}])
    house.should(invoice("i1", "2026-01-05", 100), invoice("u1", "2026-01-05", 7, entity="UK"))
    report = run(house)
    assert (report.batches, report.shadow_batches, report.waiting) == (1, 1, {"shadow": 2})
    assert run(house).shadow_batches == 0, "once is enough"
    erp = FakeErp(SystemClock().now)
    assert [w.erp_company for w in ready(house.store)] == ["UK Inc"]
    drain(house.store, {"US Inc": erp, "UK Inc": erp})
    assert (len(erp.copies()), outbox.counts(house.store)["planned"]) == (1, 0)
    assert len(house.members()) == 2, "members are those of what is posted"
    export_state(house.store, house.state)
    file = f"{house.state}/shadow_batch_lines.parquet"
    would_be = house.sql(f"select period, account_code, debit_fc, credit_fc, member_count from '{file}'")
    assert would_be == [("2026-01", "1100", 100, 0, 1), ("2026-01", "2100", 0, 100, 1)]
    assert house.sql(f"select distinct entity_id from '{house.state}/posting_batches.parquet'") == [("UK",)]


def test_going_live_posts_each_line_once_and_leaves_the_rest_to_the_old_process(house: House) -> None:
    everything = [invoice(f"i{n}", f"2026-0{n}-05", 100 * n) for n in (1, 2, 3)]
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": "shadow"}}])
    house.should(*everything)
    run(house)
    assert [m[0] for m in modes(house)] == ["shadow"] * 3
    house.write_posting(posting=[{"entity": "US", "set": {"posting_mode": "live", "live_from": "2026-02"}}])
    house.should(*everything, invoice("i4", "2026-03-06", 1), invoice("late", "2026-01-07", 9))
    report = run(house)
    assert (report.batches, report.members, report.waiting) == (2, 6, {"old_process": 4})
    assert run(house).batches == 0
    live = [b for b in outbox.all_batches(house.store) if b["mode"] == "live"]
    assert [(b["period"], b["debit_fc"]) for b in live] == [("2026-02", 200), ("2026-03", 301)]
    erp = FakeErp(SystemClock().now)
    drain(house.store, {"US Inc": erp})
    assert sorted(erp.copies().values()) == [1, 1]


def test_the_same_content_live_after_shadow_is_still_sent(house: House) -> None:
    """A shadow batch and the live one of the same lines differ in nothing but what is done with them."""
    house.write_posting(posting=[{"set": {"posting_mode": "shadow"}}])
    house.should(invoice("i1", "2026-01-05", 100))
    run(house)
    house.write_posting(posting=[{"set": {"posting_mode": "live", "live_from": "2026-01"}}])
    assert run(house).members == 2
    shadow, live = outbox.all_batches(house.store)
    assert shadow["document_json"] == live["document_json"]
    assert shadow["batch_key"] != live["batch_key"]


@pytest.mark.parametrize("before", ["shadow", "off"])
def test_going_live_without_a_first_period_is_held_with_a_sentence(house: House, before: str) -> None:
    rows = [{"entity": "US", "event_class": SALES, "set": {"posting_mode": before}}]
    house.write_posting(posting=rows)
    policies.put(house.store, json.dumps({"posting": rows}), company="t", author="anna")  # as every run keeps its rules
    house.should(invoice("i1", "2026-01-05", 100), recognition("r1", "2026-01-31", 10))
    assert run(house).batches == 1
    house.write_posting(posting=[])
    assert (run(house).batches, run(house).waiting) == (0, {"cut_over": 2})
    item = opened(house)["cut_over_missing"]
    assert (item["owner_team"], item["blocks_close"]) == ("Revenue accounting", True)
    assert "live_from" in item["next_action"]


def test_nothing_goes_live_into_a_closed_period(house: House) -> None:
    house.write_posting(posting=[{"set": {"posting_mode": "off"}}])
    house.should(invoice("i1", "2026-01-05", 100), invoice("i2", "2026-02-05", 100))
    run(house)
    with house.store.write() as connection:
        periods.hard_close(
            connection, "US", "2026-01", "anna", snapshot_hash="h", snapshot_json="{}", now=SystemClock().now()
        )
    house.write_posting(posting=[{"set": {"posting_mode": "live", "live_from": "2026-01"}}])
    assert (run(house).batches, run(house).waiting) == (1, {"closed_period": 2})
    assert opened(house)["closed_period"]["owner_team"] == "Controller"


def test_a_missing_mapping_of_a_shadow_blocks_no_close(house: House) -> None:
    house.write_masters(accounts={"accounts_receivable": "1100"})
    house.write_posting(posting=[{"set": {"posting_mode": "shadow"}}])
    house.should(invoice("i1", "2026-01-05", 100))
    assert (run(house).shadow_batches, opened(house)["mapping_missing"]["blocks_close"]) == (0, False)


def test_small_lines_merge_into_the_family_default(tmp_path: Path) -> None:
    house = House.build(tmp_path, policy={"US": {"min_line": "10"}})
    house.should(
        recognition("r1", "2026-01-31", 100), recognition("r2", "2026-01-31", 4, family="usage"),
        recognition("r3", "2026-01-31", 5, family="seats"),
    )  # fmt: skip
    run(house)
    (batch,) = outbox.all_batches(house.store)
    lines = json.loads(batch["document_json"])["lines"]
    found = [
        (x["account_code"], x["product_family"], x["credit_fc"], x["member_count"]) for x in lines if x["credit_fc"]
    ]
    assert found == [("4000", "default", 9, 2), ("4010", "platform", 100, 1)]


def test_without_posting_yaml_a_document_is_what_it_always_was(house: House) -> None:
    """The key of a batch comes from this text: one character of it, and everything would be posted again."""
    legs = (("accounts_receivable", 119), ("revenue", -100), ("tax_liability", -19))
    house.should(entry("e", "2026-01-05", *legs, policy="policy-1"))
    (key,) = run(house).batch_keys
    (batch,) = outbox.all_batches(house.store)
    assert key == "fc6ebc09ca3c748ba2d26537967765b5"  # pragma: allowlist secret
    assert batch["content_hash"][:16] == "b590d25ef6214720"  # pragma: allowlist secret
