"""The write path: what is landed once stays once, bad rows harm only themselves, nothing is lost on the way."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow.parquet as pq
import pytest

from revenue_assets.landing.control import rows_digest
from revenue_assets.landing.files import CONTROL_KEY
from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingError, LandingResult, LandingWriter, content_hash
from revenue_assets.sources.base import Cursor, ObjectContract, Page, PaginationError, Record, Rejected
from revenue_assets.store import landing
from revenue_assets.store.engine import open_store
from revenue_assets.store.landing import BatchRegister

NOW = dt.datetime(2026, 11, 2, 6, 30, tzinfo=dt.UTC)


class Feed:
    """A source whose pages the test writes down."""

    vendor = "feed"
    OBJECTS = ("invoice", "fact")
    CONTRACTS: ClassVar = {
        "invoice": ObjectContract(("id",), amounts=("total",), currency="currency", stamps=("created",)),
        "fact": ObjectContract(("id",), immutable=True),
    }

    def __init__(self, *pages: Page, name: str = "billing") -> None:
        self.name, self.entity_id, self.pages = name, "US", pages
        self.cursors: list[Cursor | None] = []

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        self.cursors.append(cursor)
        yield from self.pages


class MemoryCursors(dict):
    def get(self, source: str, object_name: str) -> Cursor | None:  # type: ignore[override]
        return super().get((source, object_name))

    def set(self, source: str, object_name: str, cursor: Cursor) -> None:
        self[(source, object_name)] = cursor


def invoice(n: int, total: Any = 100, **more: Any) -> Record:
    body = {"id": f"in_{n}", "total": total, "currency": "usd", "created": 1_790_000_000 + n, **more}
    return Record(f"in_{n}", json.dumps(body))


def page(*records: Record, **more: Any) -> Page:
    return Page(more.pop("object", "invoice"), list(records), more.pop("cursor", {"at": len(records)}), **more)


def run(home: Path, feed: Feed, name: str = "invoice", now: dt.datetime = NOW, **writer: Any) -> LandingResult:
    writer = LandingWriter(home / "landing", home / "quarantine", "run-1", **writer)
    return land(feed, [name], writer, MemoryCursors(), now)[0]


def rows(root: Path, columns: str = "_record_id, _landing_seq") -> list[tuple]:
    pattern = root / "*" / "*" / "*" / "*.parquet"
    query = f"select {columns} from read_parquet('{pattern}', hive_partitioning = false) order by _landing_seq"
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock")


def test_lineage_is_whole_and_raw_is_the_text_received(tmp_path: Path) -> None:
    odd = Record("in_7", '{"id" : "in_7","total":5,"currency":"usd" , "rate":1.10}')
    result = run(tmp_path, Feed(page(odd)))
    [row] = rows(tmp_path / "landing", "*")
    with duckdb.connect() as connection:
        table = f"read_parquet('{result.batches[0].path}', hive_partitioning = false)"
        names = [column[0] for column in connection.execute(f"describe from {table}").fetchall()]
    values = dict(zip(names, row, strict=True))
    assert values == {
        "_source": "billing",
        "_vendor": "feed",
        "_object": "invoice",
        "_record_id": "in_7",
        "_content_hash": content_hash(odd.raw),
        "_landed_at": NOW.replace(tzinfo=None),
        "_landing_seq": 1,
        "_batch_id": result.batches[0].batch_id,
        "_run_id": "run-1",
        "_entity_id": "US",
        "raw": odd.raw,
    }
    assert result.batches[0].path.parent == tmp_path / "landing" / "billing" / "invoice" / "day=2026-11-02"


def test_second_landing_of_the_same_writes_no_file(tmp_path: Path) -> None:
    feed = Feed(page(invoice(1), invoice(2)))
    assert run(tmp_path, feed).rows_landed == 2
    before = files(tmp_path)
    again = run(tmp_path, feed)
    assert (again.rows_read, again.rows_landed, again.rows_unchanged) == (2, 0, 2)
    assert files(tmp_path) == before


def test_changed_content_lands_and_a_return_to_old_content_lands_too(tmp_path: Path) -> None:
    for total in (100, 200, 100):
        assert run(tmp_path, Feed(page(invoice(1, total)))).rows_landed == 1
    flips = Feed(page(invoice(1, 100), invoice(1, 300), invoice(1, 300), invoice(1, 100)))
    result = run(tmp_path, flips)
    assert (result.rows_landed, result.rows_unchanged) == (2, 2)
    assert [seq for _, seq in rows(tmp_path / "landing")] == [1, 2, 3, 4, 5]


def test_immutable_object_keeps_its_first_version(tmp_path: Path) -> None:
    first, second = Record("f1", '{"id":"f1","at":1}'), Record("f1", '{"id":"f1","at":2}')
    result = run(tmp_path, Feed(page(first, second, object="fact")), "fact")
    later = run(tmp_path, Feed(page(second, object="fact")), "fact")
    assert (result.rows_landed, result.rows_unchanged, later.rows_landed) == (1, 1, 0)
    assert rows(tmp_path / "landing", "raw") == [(first.raw,)]


def test_empty_object_leaves_one_empty_file_and_no_second(tmp_path: Path) -> None:
    first = run(tmp_path, Feed(page()))
    assert [batch.row_count for batch in first.batches] == [0]
    assert run(tmp_path, Feed(page())).batches == []
    assert rows(tmp_path / "landing") == []
    assert len(files(tmp_path / "landing")) == 1


def test_one_poison_row_in_ten_thousand(tmp_path: Path) -> None:
    good = [invoice(n) for n in range(9_999)]
    poison = Record("in_x", '{"id":"in_x","total":1,"total":900,"currency":"usd"}')
    result = run(tmp_path, Feed(page(*good[:5000], poison, *good[5000:])))
    assert (result.rows_read, result.rows_landed, result.rows_quarantined) == (10_000, 9_999, 1)
    [(record_id, reason, raw)] = rows(tmp_path / "quarantine", "_record_id, reason, raw")
    assert (record_id, raw) == ("in_x", poison.raw)
    assert 'key "total" stands twice' in reason


@pytest.mark.parametrize(
    "record",
    [
        invoice(1, 10.5),
        invoice(1, "100"),
        invoice(1, True),
        Record("in_1", '{"id":"in_1","total":NaN}'),
        Record("in_1", '{"id":"in_1","total":1e400}'),
        Record("in_1", '["in_1"]'),
        Record("in_1", '{"id":"in_1","note":"\\u0000"}'),
        Record("in_1", "x" * 3_000_000),
        Record("in_1", '{"id":"in_1","note":"\ud800"}'),
        Record("in_\u202e1", '{"id":"in_1"}'),
        Record("i" * 129, '{"id":"in_1"}'),
    ],
)
def test_bad_rows_go_to_quarantine_once_and_never_crash(tmp_path: Path, record: Record) -> None:
    feed = Feed(page(record, invoice(2)))
    first, second = run(tmp_path, feed), run(tmp_path, feed)
    assert (first.rows_landed, first.rows_quarantined) == (1, 1)
    assert (second.rows_unchanged, second.rows_quarantined) == (1, 1)
    assert len(rows(tmp_path / "quarantine")) == 1
    assert rows(tmp_path / "landing", "_record_id") == [("in_2",)]


def test_input_that_is_no_record_is_kept_with_its_reason(tmp_path: Path) -> None:
    lost = Rejected("line 3: no id", "bytes \0 as text")
    result = run(tmp_path, Feed(page(invoice(1), rejected=[lost])))
    assert (result.rows_read, result.rows_quarantined) == (2, 1)
    assert rows(tmp_path / "quarantine", "reason, raw") == [("line 3: no id", "bytes \\0 as text")]


def test_control_totals_are_exact_and_stand_in_the_file(tmp_path: Path) -> None:
    big = 90_071_992_547_409_931
    feed = Feed(page(invoice(1, big), invoice(2, 1), invoice(3, -5, currency="eur"), invoice(4, None)))
    result = run(tmp_path, feed)
    expected = {
        "rows": 4,
        "unit": "minor",
        "currency_field": "currency",
        "amounts": {"total": {"usd": str(big + 1), "eur": "-5"}},
        "stamps": {"created": ["2026-09-21T14:13:21", "2026-09-21T14:13:24"]},
    }
    promised = dict(result.batches[0].control_totals)
    expected |= rows_digest(pq.read_table(result.batches[0].path).to_pydict())
    assert promised == expected
    assert json.loads(pq.read_schema(result.batches[0].path).metadata[CONTROL_KEY]) == expected


def test_full_listing_marks_the_missing_as_deleted_once(tmp_path: Path) -> None:
    run(tmp_path, Feed(page(*(invoice(n) for n in range(10)))))
    full = Feed(page(*(invoice(n) for n in range(9)), complete=True))
    first, second = run(tmp_path, full), run(tmp_path, full)
    assert (first.rows_deleted, second.rows_deleted) == (1, 0)
    assert rows(tmp_path / "landing", "_record_id, raw")[-1] == ("in_9", '{"id":"in_9","deleted":true}')
    back = run(tmp_path, Feed(page(invoice(9))))
    assert back.rows_landed == 1


def test_a_partial_listing_deletes_nothing(tmp_path: Path) -> None:
    run(tmp_path, Feed(page(invoice(1), invoice(2))))
    assert run(tmp_path, Feed(page(invoice(1)))).rows_deleted == 0


def test_an_unreadable_record_is_not_taken_for_deleted(tmp_path: Path) -> None:
    run(tmp_path, Feed(page(invoice(1), invoice(2))))
    bad = Record("in_2", '{"id":"in_2","total":NaN}')
    assert run(tmp_path, Feed(page(invoice(1), bad, complete=True))).rows_deleted == 0
    nameless = Rejected("no id", "{}")
    assert run(tmp_path, Feed(page(invoice(1), rejected=[nameless], complete=True))).rows_deleted == 0


def test_a_listing_that_lost_most_records_is_refused_and_the_cursor_stays(tmp_path: Path) -> None:
    run(tmp_path, Feed(page(*(invoice(n) for n in range(100)))))
    cursors = MemoryCursors()
    writer = LandingWriter(tmp_path / "landing", tmp_path / "quarantine", "run-2")
    with pytest.raises(LandingError, match="lacks 100 of 100"):
        land(Feed(page(complete=True)), ["invoice"], writer, cursors, NOW)
    assert cursors == {}
    assert len(rows(tmp_path / "landing")) == 100


class BrokenFeed(Feed):
    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        yield from self.pages
        raise PaginationError("the listing runs in a circle")


def test_cursor_moves_only_after_a_whole_pull(tmp_path: Path) -> None:
    cursors = MemoryCursors()
    writer = LandingWriter(tmp_path / "landing", tmp_path / "quarantine", "run-1")
    with pytest.raises(PaginationError):
        land(BrokenFeed(page(invoice(1))), ["invoice"], writer, cursors, NOW)
    assert cursors == {}
    feed = Feed(page(invoice(1)), page(invoice(2), cursor={"at": "end"}))
    land(feed, ["invoice"], writer, cursors, NOW)
    assert cursors == {("billing", "invoice"): {"at": "end"}}
    assert len(rows(tmp_path / "landing")) == 2


def test_fewer_rows_than_announced_is_refused(tmp_path: Path) -> None:
    short = Feed(page(invoice(1), control={"expected_rows": 2}))
    with pytest.raises(PaginationError, match="announced 2"):
        run(tmp_path, short)


def test_a_killed_write_leaves_nothing_that_a_reader_sees(tmp_path: Path) -> None:
    run(tmp_path, Feed(page(invoice(1))))
    half = tmp_path / "landing" / "billing" / "invoice" / "day=2026-11-02" / ".20261102-dead.part"
    half.write_bytes(b"PAR1 half a file")
    assert len(rows(tmp_path / "landing")) == 1
    run(tmp_path, Feed(page(invoice(2))))
    assert not half.exists()
    assert rows(tmp_path / "landing") == [("in_1", 1), ("in_2", 2)]


def test_transform_changes_what_is_stored_but_not_the_identity(tmp_path: Path) -> None:
    def hide(source: str, name: str, record_id: str, raw: str) -> str:
        return json.dumps({"id": record_id, "sealed": len(raw)})

    record = invoice(1)
    run(tmp_path, Feed(page(record)), transform=hide)
    [(digest, raw)] = rows(tmp_path / "landing", "_content_hash, raw")
    assert digest == content_hash(record.raw)
    assert "usd" not in raw
    assert run(tmp_path, Feed(page(record)), transform=hide).rows_landed == 0


def test_any_order_and_repetition_gives_the_same_latest_rows(tmp_path: Path) -> None:
    order = random.Random(7)
    records = [invoice(n) for n in range(40)]
    for _ in range(6):
        run(tmp_path, Feed(page(*order.choices(records, k=60))))
    run(tmp_path, Feed(page(*records)))
    landed = rows(tmp_path / "landing", "_record_id, raw")
    assert sorted(landed) == sorted((record.record_id, record.raw) for record in records)


@pytest.mark.parametrize("nth", [1, 3, 5])
@pytest.mark.parametrize("when", ["before", "after"])
def test_dying_at_any_file_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    monkeypatch.setattr("revenue_assets.landing.writer.ROWS_PER_FILE", 10)
    feed = Feed(*[page(*(invoice(n) for n in range(at, at + 10))) for at in range(0, 50, 10)])
    rename, calls = os.rename, iter(range(1, 100))

    def dying(source: Any, target: Any) -> None:
        last = next(calls) == nth
        if not last or when == "after":
            rename(source, target)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("revenue_assets.landing.files.os.rename", dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, feed)
    run(tmp_path, feed)
    assert rows(tmp_path / "landing") == [(f"in_{n}", n + 1) for n in range(50)]


@pytest.mark.parametrize(("when", "left"), [("before", 1), ("after", 0)])
def test_every_file_is_announced_before_and_committed_after_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, left: int
) -> None:
    """A run killed in between leaves neither a foreign file nor a lost batch: the next one settles it."""
    monkeypatch.setattr("revenue_assets.landing.writer.ROWS_PER_FILE", 10)
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    bad = Record("in_x", '{"id":"in_x","total":NaN}')
    feed = Feed(*[page(*(invoice(n) for n in range(at, at + 10)), bad) for at in (0, 10, 20)])
    rename, calls = os.rename, iter(range(1, 100))

    def dying(source: Any, target: Any) -> None:
        last = next(calls) == 2
        if not last or when == "after":
            rename(source, target)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("revenue_assets.landing.files.os.rename", dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, feed, register=BatchRegister(store))
    run(tmp_path, feed, register=BatchRegister(store))
    batches = landing.all_batches(store)
    committed = {b["path"] for b in batches if b["committed_at"] is not None}
    assert committed == {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*/*/*/*.parquet")}
    assert len([b for b in batches if b["committed_at"] is None]) == left
    assert sum(b["row_count"] for b in batches if b["committed_at"] is not None) == 30
    assert sum(b["quarantined"] for b in batches if b["committed_at"] is not None) == 1
    store.close()
