"""An update leaves every table as a full build would; what is not local is refused; the benchmark does real work."""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compiled import Compiled, placed

from benchmarks import generate, reference
from revenue_assets.conformance.run import PROJECT
from revenue_assets.incremental.compiled import Model, needed
from revenue_assets.incremental.scope import NotLocal
from revenue_assets.incremental.update import NUMBERED, Update, update

EVENTS = Path("landing") / "events" / "cloud_event" / "day=2025-12-31"


@pytest.fixture(scope="module")
def business(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the smallest business built, its SQL's stand-ins replaced."""
    home = tmp_path_factory.mktemp("business")
    generate.write_home(home, 0, PROJECT)
    _subledger(compiled, home).build(home, generate.AS_OF)
    return home


def _models(compiled: Compiled, home: Path) -> list[Model]:
    every = [Model("revenue", schema, name, placed(sql, home, generate.AS_OF)) for schema, name, sql in compiled.models]
    return needed(every)


def _subledger(compiled: Compiled, home: Path) -> Compiled:
    names = {model.name for model in _models(compiled, home)}
    return Compiled([model for model in compiled.models if model[1] in names], {})


def _copy(business: Path, home: Path) -> Path:
    shutil.copytree(business, home)
    return home


def _update(compiled: Compiled, home: Path) -> Update:
    warehouse = home / "warehouse" / "revenue.duckdb"
    return update(warehouse, home / "landing", _models(compiled, home), generate.AS_OF)


def _different(compiled: Compiled, home: Path, fresh: Path) -> list[str]:
    """Tables of the updated `home` that differ from a full build of the same landing, numbers of documents apart."""
    shutil.copytree(home, fresh, ignore=shutil.ignore_patterns("warehouse"))
    full = _subledger(compiled, fresh).build(fresh, generate.AS_OF)
    found = []
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{full}' as a (read_only); attach '{home}/warehouse/revenue.duckdb' as b (read_only)"
        )
        for model in _models(compiled, home):
            columns = f"* exclude ({NUMBERED[model.name]})" if model.name in NUMBERED else "*"
            rows = f"select {columns} from {{}}.{model.schema}.{model.name}"
            digest = f"select count(*), sum(hash(t)::hugeint) from ({rows}) as t"
            left, right = (connection.execute(digest.format(side)).fetchall() for side in "ab")
            if left != right:
                found.append(f"{model.schema}.{model.name}: {left} built, {right} updated")
    return found


def _land(home: Path, batch: str, events: list[tuple[str, str, str, str, dict]]) -> None:
    """One batch of events (id, type, entity, day, data) behind all that has landed."""
    files = f"{home}/landing/events/*/*/*.parquet"
    with duckdb.connect() as connection:
        last = connection.execute(f"select max(_landing_seq) from read_parquet('{files}')").fetchall()[0][0]
    rows = []
    for number, (event_id, kind, entity, day, data) in enumerate(events, 1):
        raw = {
            "specversion": "1.0", "id": event_id, "source": "/benchmark", "type": kind, "time": f"{day}T09:00:00Z",
            "dataschema": f"urn:revenue-assets:{kind}:1", "entityid": entity, "effectivedate": day,
            "recordedtime": f"{day}T10:00:00Z", "data": data,
        }  # fmt: skip
        rows.append(
            {
                "_source": "events", "_vendor": "cloudevents", "_object": "cloud_event", "_record_id": event_id,
                "_content_hash": event_id, "_landed_at": dt.datetime(2026, 1, 1), "_landing_seq": last + number,  # noqa: DTZ001
                "_batch_id": batch, "_run_id": batch, "_entity_id": entity, "raw": json.dumps(raw),
            }
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), home / EVENTS / f"{batch}.parquet")


def _delta(home: Path, seed: int) -> list[tuple[str, str, str, str, dict]]:
    """New facts about documents drawn at random: overpaid, credited, voided, refunded, disputed, used, sold."""
    draw = random.Random(seed)
    with duckdb.connect(str(home / "warehouse" / "revenue.duckdb"), read_only=True) as connection:
        invoices = connection.execute(
            "select entity_id, invoice_id, currency, gross_amount, customer_id from canonical.can_invoices order by 2"
        ).fetchall()
        payments = connection.execute(
            "select entity_id, payment_id, currency, amount from canonical.can_payments order by 2"
        ).fetchall()
    events = []
    for n, (entity, invoice, currency, gross, customer) in enumerate(draw.sample(invoices, 7)):
        day, key = f"2025-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}", f"{seed}-{n}"
        paid = {"channel": "bank", "applications": [{"invoice_id": invoice, "amount": gross}]}
        credit = {"timing": "post_payment", "lines": [{"invoice_line_id": "1", "amount": draw.randint(1, 900)}]}
        usage = {"window_start": "2025-03-04", "window_end": "2025-03-05", "quantity": "1", "amount": 41}
        line = {"line_id": "1", "amount": 5000, "service_start": "2025-05-05", "service_end": "2026-02-01"}
        sold = {"lines": [line]}
        kind, data = [
            ("payment.settled", {"payment_id": f"p{key}", "amount": gross + 5, "currency": currency, **paid}),
            ("credit_note.issued", {"credit_note_id": f"c{key}", "invoice_id": invoice, "currency": currency} | credit),
            ("invoice.voided", {"invoice_id": invoice}),
            ("invoice.uncollectible", {"invoice_id": invoice}),
            ("usage.rated", {"usage_id": f"u{key}", "subscription_item_id": "si-0", "currency": currency, **usage}),
            ("invoice.posted", {"invoice_id": f"i{key}", "customer_id": customer, "currency": currency, **sold}),
            ("credit_note.voided", {"credit_note_id": f"c{seed}-1"}),
        ][n]  # fmt: skip
        events.append((f"e{key}", kind, entity, day, data))
    for n, (entity, payment, currency, amount) in enumerate(draw.sample(payments, 2)):
        reduced = {"payment_id": payment, "currency": currency, "amount": amount // (n + 2)}
        kind, data = [
            ("refund.issued", {"refund_id": f"r{seed}", **reduced}),
            ("dispute.opened", {"dispute_id": f"d{seed}", **reduced}),
        ][n]
        events.append((f"f{seed}-{n}", kind, entity, f"2025-11-{draw.randint(1, 28):02d}", data))
    return events


def test_updates_one_after_the_other_leave_what_a_full_build_gives(
    compiled: Compiled, business: Path, tmp_path: Path
) -> None:
    home = _copy(business, tmp_path / "home")
    for seed in (1, 2):
        events = _delta(home, seed)
        _land(home, f"delta-{seed}", events)
        done = _update(compiled, home)
        assert done.new_events == len(events)
        assert 0 < done.recomputed_events < 200
    assert _different(compiled, home, tmp_path / "fresh") == []
    assert _update(compiled, home) == Update(0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("fx_rate.published", {"from": "EUR", "to": "USD", "rate": "1.1", "rate_type": "spot"}, "fx_rate.published"),
        ("period.hard_closed", {"period": "2024-01", "actor": "x"}, "period.hard_closed"),
        ("payment.settled", {"payment_id": "p", "amount": 5, "currency": "USD", "channel": "bank", "reference": "N1-1"},
         "remittance"),
        ("usage.rated", {"usage_id": "u", "subscription_item_id": "s", "window_start": "2025-01-01", "currency": "EUR",
         "window_end": "2025-02-01", "quantity": "1", "amount": 5}, "currency"),
    ],
)  # fmt: skip
def test_what_may_reach_further_is_refused_and_nothing_is_written(
    compiled: Compiled, business: Path, tmp_path: Path, kind: str, data: dict, why: str
) -> None:
    home = _copy(business, tmp_path / "home")
    _land(home, "delta", [("far", kind, "US", "2025-12-30", data)])
    with pytest.raises(NotLocal, match=why):
        _update(compiled, home)
    with duckdb.connect(str(home / "warehouse" / "revenue.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from canonical.events where id = 'far'").fetchall() == [(0,)]


def test_another_cut_off_is_no_update(compiled: Compiled, business: Path) -> None:
    warehouse = business / "warehouse" / "revenue.duckdb"
    with pytest.raises(NotLocal, match="cut-off"):
        update(warehouse, business / "landing", _models(compiled, business), dt.date(2026, 1, 31))


def test_the_benchmark_does_the_same_work_twice(business: Path) -> None:
    reference.build(business, generate.AS_OF.isoformat(), business / "reference.duckdb")
    assert reference.differences(business / "warehouse" / "revenue.duckdb", business / "reference.duckdb") == []
    with duckdb.connect(str(business / "reference.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) > 1000 from journal").fetchall() == [(True,)]
        connection.close()
    with duckdb.connect(str(business / "reference.duckdb")) as connection:
        connection.execute("delete from journal where role = 'fees' and period = '2024-06'")
    assert reference.differences(business / "warehouse" / "revenue.duckdb", business / "reference.duckdb") != []
