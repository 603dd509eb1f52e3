"""Triggers: what the database itself refuses, whoever asks.

- append-only tables take neither UPDATE nor DELETE; identity and content columns of the others never change;
- nothing is booked or batched into a hard-closed period;
- a period changes state only together with its line in the history, where the rule for reopening is a constraint.

On PostgreSQL the period guard takes a share lock on the period's row, so that a close running at the same moment
waits for the booking, or the booking for the close: never both.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "booking_periods", "member_cuts", "posting_batch_lines", "posting_attempts", "period_history", "policy_versions",
    "audit_links", "audit_entries",
)  # fmt: skip
FROZEN = {
    "journal_bookings": ("booking_id", "seq", "sha256", "bytes", "row_count", "control_totals"),
    "posting_batches": (
        "batch_key",
        "seq",
        "content_hash",
        "cut_id",
        "tenant",
        "entity_id",
        "erp_company",
        "book",
        "period",
        "event_class",
        "rule_hash",
        "accounting_date",
        "line_count",
        "member_count",
        "debit_fc",
        "credit_fc",
        "document_json",
    ),
    "periods": ("entity_id", "book", "period"),
}
GUARDED_BY_PERIOD = ("booking_periods", "posting_batches")
CLOSED = "period is hard closed: nothing may be booked or batched into it"
NO_HISTORY = "a period changes state only together with its line in period_history"
_SAME_CHANGE = """
    h.entity_id = new.entity_id and h.book = new.book and h.period = new.period
    and h.old_status = old.status and h.new_status = new.status and h.at = new.changed_at
"""


def upgrade() -> None:
    statements = _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgresql()
    for statement in statements:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%") if "%" in statement else statement)


def downgrade() -> None:
    raise NotImplementedError("the guards of the first version are never taken away")


def _sqlite() -> list[str]:
    def refuse(name: str, when: str, table: str, message: str, condition: str = "") -> str:
        clause = f" when {condition}" if condition else ""
        body = f"begin select raise(abort, '{message}'); end"
        return f"create trigger {name} before {when} on {table} for each row{clause} {body}"

    out = []
    for table in APPEND_ONLY:
        out.append(refuse(f"{table}_no_update", "update", table, f"{table} is append-only"))
        out.append(refuse(f"{table}_no_delete", "delete", table, f"{table} is append-only"))
    for table, columns in FROZEN.items():
        out.append(refuse(f"{table}_no_delete", "delete", table, f"{table} keeps its rows for ever"))
        out.append(
            refuse(
                f"{table}_frozen",
                f"update of {', '.join(columns)}",
                table,
                f"{table}: this column never changes",
                " or ".join(f"new.{c} is not old.{c}" for c in columns),
            )
        )
    for table in GUARDED_BY_PERIOD:
        out.append(
            refuse(
                f"{table}_period_open",
                "insert",
                table,
                CLOSED,
                "exists (select 1 from periods p where p.entity_id = new.entity_id and p.book = new.book "
                "and p.period = new.period and p.status = 'hard_closed')",
            )
        )
    out.append(refuse("periods_start_open", "insert", "periods", "a period starts open", "new.status <> 'open'"))
    out.append(
        refuse(
            "periods_with_history",
            "update of status",
            "periods",
            NO_HISTORY,
            f"new.status <> old.status and not exists (select 1 from period_history h where {_SAME_CHANGE})",
        )
    )
    return out


def _postgresql() -> list[str]:
    def function(name: str, body: str) -> str:
        return f"create function {name}() returns trigger language plpgsql as $$ begin {body} end $$"

    def trigger(name: str, when: str, table: str, called: str) -> str:
        return f"create trigger {name} before {when} on {table} for each row execute function {called}()"

    out = [
        function("revenue_append_only", "raise exception '{} is append-only', tg_table_name;".replace("{}", "%")),
        function(
            "revenue_period_open",
            "perform 1 from periods p where p.entity_id = new.entity_id and p.book = new.book and p.period = "
            "new.period for share; "
            "if exists (select 1 from periods p where p.entity_id = new.entity_id and p.book = new.book "
            f"and p.period = new.period and p.status = 'hard_closed') then raise exception '{CLOSED}'; end if; "
            f"return new;",
        ),
        function(
            "revenue_period_starts_open",
            "if new.status <> 'open' then raise exception 'a period starts open'; end if; return new;",
        ),
        function(
            "revenue_period_history",
            f"if new.status <> old.status and not exists (select 1 from period_history h where {_SAME_CHANGE}) "
            f"then raise exception '{NO_HISTORY}'; end if; return new;",
        ),
    ]
    for table in APPEND_ONLY:
        out.append(trigger(f"{table}_append_only", "update or delete", table, "revenue_append_only"))
    for table, columns in FROZEN.items():
        changed = " or ".join(f"new.{c} is distinct from old.{c}" for c in columns)
        out.append(
            function(
                f"revenue_{table}_frozen",
                f"if {changed} then raise exception '{table}: this column never changes'; end if; return new;",
            )
        )
        out.append(trigger(f"{table}_frozen", f"update of {', '.join(columns)}", table, f"revenue_{table}_frozen"))
        out.append(trigger(f"{table}_no_delete", "delete", table, "revenue_append_only"))
    for table in GUARDED_BY_PERIOD:
        out.append(trigger(f"{table}_period_open", "insert", table, "revenue_period_open"))
    out.append(trigger("periods_start_open", "insert", "periods", "revenue_period_starts_open"))
    out.append(trigger("periods_with_history", "update of status", "periods", "revenue_period_history"))
    return out
