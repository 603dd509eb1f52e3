"""What an ERP is told to recognise is what we compute: every worked example, as if an ERP ran all the schedules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compiled import Compiled, placed
from open_cases import Built

from demo.erp_emulators.face import serving
from demo.erp_emulators.rest import TOKEN
from demo.erp_emulators.rest_schedules import RestSchedulesFace
from revenue_assets.conformance.cases import horizon
from revenue_assets.domain.config_erp_generic import GenericOptions
from revenue_assets.posting.erp.generic_schedules import SchedulingRestErp
from revenue_assets.posting.erp.port import ErpPort
from revenue_assets.posting.schedules.outbox import drain
from revenue_assets.posting.schedules.plan import plan
from revenue_assets.posting.steps import Limits
from revenue_assets.state import currency_exponents, write_parquet
from revenue_assets.store.engine import open_store
from revenue_assets.store.ledger import Journal

MODEL, CHECK = "erp_schedule_parts", "assert_erp_schedules_are_the_recognition"


@pytest.fixture(scope="module")
def owned(built: Built, compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """(connection to a copy of the build in which the ERP owns every schedule, SQL of the check)."""
    home, as_of = tmp_path_factory.mktemp("erp_schedules"), horizon(built.cases)
    shutil.copytree(built.work_dir / "state", home / "state")
    policy = pq.read_table(home / "state" / "policy.parquet")
    entities = pq.read_table(home / "state" / "entities.parquet")["entity_id"].to_pylist()
    rows = [{"entity_id": e, "key": "schedules_owner", "value": "erp", "policy_hash": "p"} for e in entities]
    more = pa.Table.from_pylist(rows, schema=policy.schema)
    pq.write_table(pa.concat_tables([policy, more]), home / "state" / "policy.parquet")
    copy = Path(shutil.copy(built.warehouse, home / "revenue.duckdb"))
    (sql,) = [sql for _, name, sql in compiled.models if name == MODEL]
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"create or replace view subledger.{MODEL} as ({placed(sql, home, as_of)})")
        yield connection, compiled.check(CHECK, home, as_of)


def test_nothing_where_we_recognise_ourselves(built: Built) -> None:
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        assert connection.execute(f"select count(*) from subledger.{MODEL}").fetchall() == [(0,)]


def test_every_recognition_is_told_and_nothing_else(owned: tuple) -> None:
    connection, check = owned
    assert connection.execute(check).fetchall() == []


def test_the_examples_have_what_makes_it_hard(owned: tuple) -> None:
    connection, _ = owned
    query = f"""
        select
            count(*) filter (where document_type = 'contract'), count(*) filter (where discount_amount <> 0),
            count(*) filter (where currency <> functional_currency), count(*) filter (where amount < 0),
            count(*) filter (where balance_role = 'unbilled_receivable'),
            count(*) filter (where service_period < period),
            count(*) - count(distinct (
                entity_id, document_type, document_id, line_id, service_period, recognition_date
            ))
        from subledger.{MODEL}
    """
    *hard, doubled = connection.execute(query).fetchall()[0]
    assert all(hard), hard
    assert doubled == 0


@pytest.mark.parametrize(
    "fault",
    [
        "update {table} set amount = amount + 1 where (document_id, recognition_date) = (select (document_id, "
        "recognition_date) from {table} order by all limit 1)",
        "delete from {table} where document_type = 'contract' and recognition_date = (select min(recognition_date) "
        "from {table} where document_type = 'contract')",
    ],
)
def test_the_check_sees_a_cent_and_a_lost_part(owned: tuple, fault: str) -> None:
    connection, check = owned
    connection.execute(f"create or replace table subledger.spoilt as from subledger.{MODEL}")
    connection.execute(fault.format(table="subledger.spoilt"))
    assert f'"{MODEL}"' in check
    assert connection.execute(check.replace(f'"{MODEL}"', '"spoilt"')).fetchall()


ROLES = {"deferred_revenue": "2100", "unbilled_receivable": "1200", "revenue": "4000", "discounts": "4900"}
# Two entities of each kind that makes it hard: contracts, discounts, foreign currency, what is taken back, pending.
HARD = """
with kinds as (
    select entity_id, unnest([
        case when document_type = 'contract' then 'contract' end, case when discount_amount <> 0 then 'discount' end,
        case when currency <> functional_currency then 'foreign' end, case when amount < 0 then 'taken back' end,
        case when balance_role = 'unbilled_receivable' then 'pending' end
    ]) as kind
    from subledger.erp_schedule_parts
)
select distinct entity_id from (
    select kind, entity_id from (select distinct kind, entity_id from kinds where kind is not null)
    qualify row_number() over (partition by kind order by entity_id) <= 2
) order by 1
"""


def test_an_erp_that_runs_the_schedules_recognises_what_we_compute(owned: tuple, built: Built, tmp_path: Path) -> None:
    """Planned, put, read back and verified over HTTP; then the ERP's own month ends, held against our entries."""
    connection, _ = owned
    as_of = horizon(built.cases)
    chosen = [row[0] for row in connection.execute(HARD).fetchall()]
    assert len(chosen) >= 5
    currencies = dict(
        connection.execute(
            "select distinct entity_id, functional_currency from subledger.erp_schedule_parts "
            f"where entity_id in ({', '.join(repr(e) for e in chosen)})"
        ).fetchall()
    )
    query = "select path from duckdb_databases() where path is not null limit 1"
    home = Path(connection.execute(query).fetchall()[0][0])
    folder = Path(shutil.copytree(home.parent / "state", tmp_path / "state"))
    accounts = [{"entity_id": e, "account_role": r, "account_code": c} for e in chosen for r, c in ROLES.items()]
    write_parquet(folder / "accounts.parquet", pq.read_schema(folder / "accounts.parquet"), accounts)
    write_parquet(
        folder / "policy.parquet", pq.read_schema(folder / "policy.parquet"),
        [{"entity_id": e, "key": "schedules_owner", "value": "erp", "policy_hash": "p"} for e in chosen],
    )  # fmt: skip
    computed = connection.execute(
        f"""
        select entity_id, account_role, sum(amount_fc)::bigint from subledger.journal_lines
        where event_type = 'revenue.recognised' and account_role in ('revenue', 'discounts')
            and entity_id in ({", ".join(repr(e) for e in chosen)})
        group by all having sum(amount_fc) <> 0 order by all
        """
    ).fetchall()
    warehouse = tmp_path / "revenue.duckdb"
    connection.execute("checkpoint")
    shutil.copy(home, warehouse)
    store, journal = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}"), Journal(tmp_path / "journal")
    face = RestSchedulesFace(tmp_path / "erp")
    face.setup(currencies, list(ROLES.values()), range(2010, 2036))
    with serving(face) as url:
        options = GenericOptions(revenue_schedules=True)
        port = SchedulingRestErp(url, {"token": TOKEN}, options, currency_exponents())
        ports: dict[str, ErpPort] = dict.fromkeys(chosen, port)
        planned = plan(store, journal, warehouse, folder, ports, tenant="t")
        assert planned.planned == planned.schedules > len(chosen)
        report = drain(store, ports, limits=Limits(documents_per_call=50))
        assert (report.total("verified"), report.total("dead")) == (planned.planned, 0)
        assert plan(store, journal, warehouse, folder, ports, tenant="t").planned == 0
        for company in chosen:
            face.recognise(company, as_of.isoformat())
    recognised = [
        (company, role, amount)
        for company in chosen
        for role in ("discounts", "revenue")
        if (amount := booked(face, company, ROLES[role]))
    ]
    assert recognised == computed


def booked(face: RestSchedulesFace, company: str, account: str) -> int:
    """What the ledger has on an account, debit positive, functional minor units."""
    documents = face.erp.ledger.documents("company = ?", company)
    return sum(x.debit - x.credit for held in documents for x in held.entry.lines if x.account == account)
