"""A journal that does not balance cannot be stored, whoever writes it; the outbox is read in the order of its work.

Lines come before their batch and never after it. The batch is taken only if its lines are numbered 1 to `line_count`,
add up to its totals, sum to nil in each transaction currency, and are those of the document that would be sent.

On SQLite, which has one writer, that is all. On PostgreSQL a second transaction may add a line to a batch that it does
not see yet: when it commits, its line has a number that the batch does not have.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UNBALANCED = "a batch is stored with its lines: numbered, balanced in every currency, and those of its document"
LATE = "a line is stored before its batch, never after it"
FIXED = "posting_batches: this column never changes"
FIXED_COLUMNS = ("functional_currency", "currency_set", "created_at")
WORK = "ix_posting_batches_work"

_OF_BATCH = "from posting_batch_lines l where l.batch_key = new.batch_key"
_SAME_LINES = """(select count(*) from {elements} where exists (select 1 from posting_batch_lines l
    where l.batch_key = new.batch_key and l.line_no = {line_no} and l.account_code = {account_code}
    and l.currency = {currency} and l.amount_tc = {amount_tc} and l.debit_fc = {debit_fc}
    and l.credit_fc = {credit_fc} and l.functional_currency = new.functional_currency))"""
_COLUMNS = {"line_no": "bigint", "account_code": "text", "currency": "text", "amount_tc": "bigint",
            "debit_fc": "bigint", "credit_fc": "bigint"}  # fmt: skip
_LATE = "exists (select 1 from posting_batches b where b.batch_key = new.batch_key)"
_BEYOND = "exists (select 1 from posting_batches b where b.batch_key = new.batch_key and b.line_count < new.line_no)"


def _unbalanced(document_lines: str, same_lines: str) -> str:
    """What makes a new batch one that is not stored. Sums are numeric on PostgreSQL and checked integers on SQLite."""
    return f"""new.line_count < 1 or {document_lines} <> new.line_count or {same_lines} <> new.line_count
    or not exists (select 1 {_OF_BATCH} group by l.batch_key having count(*) = new.line_count and min(l.line_no) = 1
        and max(l.line_no) = new.line_count and sum(l.debit_fc) = new.debit_fc and sum(l.credit_fc) = new.credit_fc
        and sum(l.member_count) = new.member_count)
    or exists (select 1 {_OF_BATCH} group by l.currency having sum(l.amount_tc) <> 0)"""


def upgrade() -> None:
    op.drop_index(WORK, "posting_batches")
    op.create_index(WORK, "posting_batches", ["mode", "erp_company", "status", "period", "seq"])
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite() if sqlite else _postgresql():
        op.get_bind().execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    raise NotImplementedError("controls are never taken away")


def _fixed(differs: str) -> str:
    return " or ".join(f"new.{column} {differs} old.{column}" for column in FIXED_COLUMNS)


def _sqlite() -> list[str]:
    values = {column: f"json_extract(d.value, '$.{column}')" for column in _COLUMNS}
    same = _SAME_LINES.format(elements="json_each(new.document_json, '$.lines') d", **values)
    unbalanced = _unbalanced("coalesce(json_array_length(new.document_json, '$.lines'), 0)", same)

    def refuse(name: str, when: str, table: str, condition: str, message: str) -> str:
        return (
            f"create trigger {name} before {when} on {table} for each row when {condition} "
            f"begin select raise(abort, '{message}'); end"
        )

    return [
        refuse("posting_batches_balanced", "insert", "posting_batches", unbalanced, UNBALANCED),
        refuse("posting_batch_lines_first", "insert", "posting_batch_lines", _LATE, LATE),
        refuse(
            "posting_batches_fixed", f"update of {', '.join(FIXED_COLUMNS)}", "posting_batches", _fixed("is not"), FIXED
        ),
    ]


def _postgresql() -> list[str]:
    values = {column: f"(d ->> '{column}')::{kind}" for column, kind in _COLUMNS.items()}
    same = _SAME_LINES.format(elements="jsonb_array_elements(document -> 'lines') d", **values)
    unbalanced = _unbalanced("jsonb_array_length(coalesce(document -> 'lines', '[]'::jsonb))", same)

    def function(name: str, condition: str, message: str, declare: str = "") -> str:
        return (
            f"create function revenue_{name}() returns trigger language plpgsql as $$ {declare} begin "
            f"if {condition} then raise exception '{message}'; end if; return new; end $$"
        )

    def trigger(name: str, when: str, table: str) -> str:
        return f"create trigger {name} before {when} on {table} for each row execute function revenue_{name}()"

    return [
        "alter table posting_batch_lines alter constraint fk_posting_batch_lines_batch_key "
        "deferrable initially deferred",
        function("posting_batches_balanced", unbalanced, UNBALANCED, "declare document jsonb = new.document_json;"),
        trigger("posting_batches_balanced", "insert", "posting_batches"),
        function("posting_batch_lines_first", _LATE, LATE),
        trigger("posting_batch_lines_first", "insert", "posting_batch_lines"),
        function("posting_batch_lines_own", _BEYOND, LATE),
        "create constraint trigger posting_batch_lines_own after insert on posting_batch_lines deferrable "
        "initially deferred for each row execute function revenue_posting_batch_lines_own()",
        function("posting_batches_fixed", _fixed("is distinct from"), FIXED),
        trigger("posting_batches_fixed", f"update of {', '.join(FIXED_COLUMNS)}", "posting_batches"),
    ]
