"""Batches partition the booked lines, balance, and carry keys that depend on content alone."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from store_kit import ACCOUNTS, AS_OF, RULES_HASH, House, entry, invoice, recognition

from revenue_assets.posting.batches import CutReport, cut
from revenue_assets.posting.booking import book
from revenue_assets.store import exceptions, outbox
from revenue_assets.store.tables import posting_batches


@pytest.fixture
def house(tmp_path) -> House:
    return House.build(tmp_path)


def run(house: House, **more) -> CutReport:
    as_of = more.pop("as_of", AS_OF)
    book(house.store, house.journal, house.warehouse, house.state, as_of)
    return cut(house.store, house.journal, house.state, as_of, tenant=more.pop("tenant", "meridian"), **more)


def batches(house: House) -> list[dict]:
    return outbox.all_batches(house.store)


def lines(house: House, key: str) -> list[dict]:
    with house.store.read() as connection:
        return outbox.lines_of(connection, [key])[key]


def test_one_document_per_entity_period_event_class_and_rules(house):
    house.should(
        invoice("i1", "2026-01-05", 100),
        invoice("i2", "2026-01-06", 50),
        invoice("i3", "2026-02-05", 7),
        invoice("i4", "2026-01-07", 9, entity="UK"),
        recognition("r1", "2026-01-31", 10),
        invoice("i5", "2026-01-08", 3, policy="policy-2"),
    )
    report = run(house)
    assert (report.batches, report.members, report.held_lines) == (5, 12, 0)
    found = {(b["entity_id"], b["period"], b["event_class"], b["rule_hash"]): b for b in batches(house)}
    first = found["US", "2026-01", "invoice.posted", RULES_HASH]
    assert (first["line_count"], first["member_count"], first["debit_fc"], first["credit_fc"]) == (2, 4, 150, 150)
    assert (first["accounting_date"], first["erp_company"], first["status"]) == (
        dt.date(2026, 1, 31),
        "US Inc",
        "planned",
    )
    assert [
        (line["account_code"], line["debit_fc"], line["credit_fc"], line["member_count"])
        for line in lines(house, first["batch_key"])
    ] == [("1100", 150, 0, 2), ("2100", 0, 150, 2)]
    assert {b["member_count"] for b in found.values()} == {2, 4}


def test_members_partition_the_booked_lines_in_rows_and_money(house):
    house.should(
        *[invoice(f"i{n}", f"2026-0{1 + n % 3}-05", n + 1) for n in range(30)], recognition("r", "2026-02-28", 5)
    )
    run(house)
    booked, members = (
        f"read_parquet('{house.journal.lines}/*.parquet')",
        f"read_parquet('{house.journal.members}/*.parquet')",
    )
    assert house.sql(f"select count(*), count(distinct booked_line_id) from {members}") == [(62, 62)]
    assert house.sql(f"select count(*) from {booked} anti join {members} using (booked_line_id)") == [(0,)]
    sums = house.sql(
        f"select m.batch_key, m.batch_line_no, sum(b.amount_fc)::bigint, count(*) from {booked} b join "
        f"{members} m using (booked_line_id) group by all"
    )
    with house.store.read() as connection:
        stored = connection.execute(
            text("select batch_key, line_no, debit_fc - credit_fc, member_count from posting_batch_lines")
        ).all()
    assert sorted(sums) == sorted(map(tuple, stored))


def test_again_with_nothing_new_cuts_nothing(house):
    house.should(invoice("i1", "2026-01-05", 100))
    assert run(house).batches == 1
    again = run(house)
    assert (again.cut_id, again.batches) == (None, 0)
    assert len(list(house.journal.members.iterdir())) == 2


def test_two_equal_deltas_stay_two_documents(house):
    there, other = invoice("i1", "2026-01-05", 100), invoice("x", "2026-01-05", 1)
    keys = []
    for should in ([there, other], [other], [there, other]):
        house.should(*should)
        keys += run(house).batch_keys
    assert len(set(keys)) == 3
    documents = [json.loads(b["document_json"]) for b in batches(house)]
    # The second document takes back what the first gave; credits and debits are the exact negative.
    assert [[(x["account_role"], x["debit_fc"], x["credit_fc"]) for x in d["lines"]] for d in documents[1:]] == [
        [("accounts_receivable", 0, 100), ("deferred_revenue", 100, 0)],
        [("accounts_receivable", 100, 0), ("deferred_revenue", 0, 100)],
    ]


def test_keys_come_from_content_and_tenant(tmp_path):
    keys = []
    for name, tenant in (("a", "one"), ("b", "one"), ("c", "two")):
        house = House.build(tmp_path / name)
        house.should(invoice("i2", "2026-01-06", 50), invoice("i1", "2026-01-05", 100))
        keys.append(run(house, tenant=tenant).batch_keys)
    assert keys[0] == keys[1] != keys[2]
    assert [len(k) for k in keys[0]] == [32]


def test_a_missing_mapping_holds_whole_entries_and_releases_them_when_fixed(house):
    house.write_masters(accounts={k: v for k, v in ACCOUNTS.items() if k != "tax_liability"})
    taxed = entry("t1", "2026-01-05", ("accounts_receivable", 119), ("deferred_revenue", -100), ("tax_liability", -19))
    house.should(taxed, invoice("i1", "2026-01-05", 10))
    report = run(house)
    assert (report.batches, report.members, report.held_lines, report.missing) == (1, 2, 3, ["US:tax_liability:*"])
    (item,) = exceptions.all_exceptions(house.store, open_only=True)
    assert (item["category"], item["owner_team"], item["amount"], item["blocks_close"]) == (
        "mapping_missing",
        "Revenue accounting",
        19,
        True,
    )
    assert run(house).batches == 0
    house.write_masters()
    fixed = run(house)
    assert (fixed.batches, fixed.members, fixed.held_lines) == (1, 3, 0)
    assert exceptions.all_exceptions(house.store, open_only=True) == []
    assert len(house.members()) == 5


def test_the_family_has_its_own_account_where_the_chart_says_so(house):
    house.should(recognition("r1", "2026-01-31", 10), recognition("r2", "2026-01-31", 5, family="usage"))
    (key,) = run(house).batch_keys
    got = [
        (x["account_code"], x["product_family"], x["credit_fc"])
        for x in lines(house, key)
        if x["account_role"] == "revenue"
    ]
    assert got == [("4000", "usage", 5), ("4010", "platform", 10)]


def test_currencies_never_share_a_line(house):
    house.should(invoice("i1", "2026-01-05", 100), invoice("i2", "2026-01-05", 100, currency="EUR"))
    (key,) = run(house).batch_keys
    assert [(x["currency"], x["amount_tc"], x["debit_fc"]) for x in lines(house, key) if x["debit_fc"]] == [
        ("EUR", 100, 100),
        ("USD", 100, 100),
    ]
    assert batches(house)[0]["currency_set"] == "EUR,USD"


def test_summary_key_net_lines_and_detail_threshold_are_policy(tmp_path):
    house = House.build(
        tmp_path,
        policy={
            "US": {
                "net_lines": "true",
                "detail_threshold": "1000",
                "summary_key": '["posting_period", "account_role", "currency", "customer_id"]',
            }
        },
    )
    back = entry("b", "2026-01-06", ("accounts_receivable", -30), ("deferred_revenue", 30))
    house.should(invoice("i1", "2026-01-05", 100), back, invoice("big", "2026-01-05", 1000))
    (key,) = run(house).batch_keys
    receivable = [x for x in lines(house, key) if x["account_role"] == "accounts_receivable"]
    assert [
        (x["debit_fc"], x["member_count"], json.loads(x["dimensions"]).keys() == {"customer_id", "entry"})
        for x in receivable
    ] == [(70, 2, False), (1000, 1, True)]


def test_a_large_document_is_split_between_whole_entries(house):
    roles = list(ACCOUNTS)
    house.should(*[entry(f"e{n}", "2026-01-05", (roles[n % 6], 5), (roles[(n + 1) % 6], -5)) for n in range(24)])
    report = run(house, max_lines=4)
    assert report.batches > 2
    assert sum(b["member_count"] for b in batches(house)) == 48
    assert all(b["line_count"] <= 4 and b["debit_fc"] == b["credit_fc"] for b in batches(house))


def test_document_date_is_the_cut_off_while_the_period_lasts(house):
    house.should(invoice("i1", "2026-03-05", 10))
    run(house, as_of=dt.date(2026, 3, 20))
    assert batches(house)[0]["accounting_date"] == dt.date(2026, 3, 20)


def test_an_orphan_member_file_is_removed_before_cutting(house):
    house.should(invoice("i1", "2026-01-05", 10))
    house.journal.prepare()
    (house.journal.members / "c999.parquet").write_bytes(b"half a file")
    assert run(house).orphans_removed == ["c999.parquet"]
    assert len(house.members()) == 2


def test_the_same_key_with_other_content_is_refused(house):
    house.should(invoice("i1", "2026-01-05", 10))
    run(house)
    (row,) = batches(house)
    stored_lines = lines(house, row["batch_key"])
    changed = row | {"document_json": row["document_json"].replace("10", "11"), "content_hash": "0" * 64}
    with pytest.raises(outbox.KeyConflict), house.store.write() as connection:
        outbox.insert_batches(connection, [changed], stored_lines, AS_OF)
    with house.store.write() as connection:
        assert outbox.insert_batches(connection, [row], stored_lines, AS_OF) == 0


def test_raw_sql_cannot_change_or_unbalance_a_batch(house):
    house.should(invoice("i1", "2026-01-05", 10))
    run(house)
    (row,) = batches(house)
    for values in ({"document_json": "{}"}, {"debit_fc": 11, "credit_fc": 11}, {"period": "2026-02"}):
        with pytest.raises(IntegrityError, match="never changes"), house.store.write() as connection:
            connection.execute(update(posting_batches).values(**values))
    with pytest.raises(IntegrityError), house.store.write() as connection:
        connection.execute(posting_batches.insert().values(**row | {"batch_key": "k", "seq": 99, "debit_fc": 11}))
    with pytest.raises(IntegrityError, match="append-only"), house.store.write() as connection:
        connection.execute(text("update posting_batch_lines set debit_fc = 12"))
