"""Approvals: above a limit a batch waits for a second person, and the database itself wants to see that person.

- a live batch above its entity's limit enters as `awaiting_approval` with that limit; limit and preparer never change;
- it leaves that state, other than to `dead`, only with an approval whose checker is not its maker and is an approver of
  the entity for the amount; a rejected batch stays dead;
- a material entry of a closed period is accepted by such an approval only;
- nothing is sent into a hard-closed period, also not what was cut before it closed.

On PostgreSQL an approval also carries the database login; a login that does not own the tables signs only as itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ABOVE = "a batch above the approval limit is cut as awaiting_approval and names the limit"
NEEDED = "a batch above the approval limit needs the approval of a second person"
REJECTED = "a rejected batch is never posted"
FIXED = "preparer and approval limit of a batch never change"
SUBJECT = "an approval is about what waits for it, with its maker, entity, currency and amount"
NO_APPROVER = "the checker is no approver of this entity for this amount"
MATERIAL = "a material entry of a closed period is accepted by an approval only"
CLOSED = "period is hard closed: nothing may be booked or batched into it"

_EXCEEDS = """new.mode = 'live' and new.approval_limit is null and exists (
    select 1 from approval_limits l where l.entity_id = new.entity_id and new.debit_fc > l.above)"""
_DECIDED = "exists (select 1 from approvals a where a.subject = 'batch:' || new.batch_key and a.decision = '{}')"
_WAITS = """(
    exists (select 1 from posting_batches b where 'batch:' || b.batch_key = new.subject
        and b.status = 'awaiting_approval' and b.prepared_by = new.maker and b.entity_id = new.entity_id
        and b.functional_currency = new.currency and b.debit_fc = new.amount and b.approval_limit = new.limit_exceeded)
    or exists (select 1 from exceptions e where 'exception:' || e.exception_id = new.subject
        and e.category = 'closed_period_material' and e.status not in ('Resolved', 'Accepted')
        and coalesce(e.assignee, 'system') = new.maker and e.entity_id = new.entity_id
        and e.currency = new.currency and e.amount = new.amount))"""
_MAY = """exists (select 1 from approvers a where a.name = new.checker and a.entity_id = new.entity_id
    and (new.decision = 'rejected' or (a.currency = new.currency and a.up_to >= new.amount)))"""
_UNAPPROVED_MATERIAL = """new.status = 'Accepted' and old.status <> 'Accepted'
    and new.category = 'closed_period_material' and not exists (select 1 from approvals a
        where a.subject = 'exception:' || new.exception_id and a.decision = 'approved' and a.amount = new.amount)"""
_PERIOD_CLOSED = """exists (select 1 from periods p where p.entity_id = new.entity_id and p.book = new.book
    and p.period = new.period and p.status = 'hard_closed')"""
# (name, when, table, condition, message): what is refused, in both dialects.
GUARDS = (
    ("posting_batches_above_limit", "insert", "posting_batches",
     f"({_EXCEEDS}) or (new.approval_limit is not null) <> (new.status = 'awaiting_approval')", ABOVE),
    ("posting_batches_mode_limit", "update of mode", "posting_batches", f"old.mode <> 'live' and {_EXCEEDS}", ABOVE),
    ("posting_batches_approved", "update of status", "posting_batches",
     "new.approval_limit is not null and new.status not in ('awaiting_approval', 'dead') and not "
     + _DECIDED.format("approved"), NEEDED),
    ("posting_batches_rejected", "update of status", "posting_batches",
     "new.status <> 'dead' and " + _DECIDED.format("rejected"), REJECTED),
    ("posting_batches_prepared", "update of prepared_by, approval_limit", "posting_batches",
     "new.prepared_by <> old.prepared_by or coalesce(new.approval_limit, -1) <> coalesce(old.approval_limit, -1)",
     FIXED),
    ("posting_batches_send_open", "update of status", "posting_batches",
     f"new.status = 'sent' and old.status <> 'sent' and {_PERIOD_CLOSED}", CLOSED),
    ("approvals_subject", "insert", "approvals", f"not {_WAITS}", SUBJECT),
    ("approvals_checker", "insert", "approvals", f"not {_MAY}", NO_APPROVER),
    ("exceptions_material", "update of status", "exceptions", _UNAPPROVED_MATERIAL, MATERIAL),
)  # fmt: skip


def upgrade() -> None:
    _tables()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite() if sqlite else _postgresql():
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("controls are never taken away")


def _tables() -> None:
    op.create_table(
        "approval_limits",
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("above", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entity_id", name=op.f("pk_approval_limits")),
        sa.CheckConstraint("above >= 0", name=op.f("ck_approval_limits_amount")),
        comment="From the config: above which total of a batch a second person decides",
    )
    op.create_table(
        "approvers",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "entity_id", name=op.f("pk_approvers")),
        sa.CheckConstraint("name <> '' and name <> 'system'", name=op.f("ck_approvers_person")),
        comment="From the config: who may approve, for which entity and up to what amount",
    )
    op.create_table(
        "approvals",
        sa.Column("approval_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("entity_id", sa.String(length=32), nullable=False),
        sa.Column("maker", sa.String(length=200), nullable=False),
        sa.Column("checker", sa.String(length=200), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("limit_exceeded", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("os_login", sa.String(length=200), nullable=False),
        sa.Column("db_login", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_approvals")),
        sa.CheckConstraint("decision in ('approved', 'rejected')", name=op.f("ck_approvals_decision")),
        sa.CheckConstraint("lower(checker) <> lower(maker)", name=op.f("ck_approvals_second_person")),
        sa.CheckConstraint("trim(checker) <> '' and trim(reason) <> ''", name=op.f("ck_approvals_reason")),
        comment="Append-only: who decided about what waited for a second person, and why",
    )
    op.create_index(op.f("ix_approvals_subject"), "approvals", ["subject"])
    op.create_index(op.f("ix_audit_entries_subject"), "audit_entries", ["subject"])
    batches = sa.Column("prepared_by", sa.String(length=200), nullable=False, server_default="system")
    op.add_column("posting_batches", batches)
    op.add_column("posting_batches", sa.Column("approval_limit", sa.BigInteger(), nullable=True))


def _sqlite() -> list[str]:
    def refuse(name: str, when: str, table: str, condition: str, message: str) -> str:
        clause = f" when {condition}" if condition else ""
        body = f"begin select raise(abort, '{message}'); end"
        return f"create trigger {name} before {when} on {table} for each row{clause} {body}"

    out = [refuse(f"approvals_no_{what}", what, "approvals", "", "approvals is append-only") for what in _CHANGES]
    return out + [refuse(*guard) for guard in GUARDS]


_CHANGES = ("update", "delete")


def _postgresql() -> list[str]:
    def guard(name: str, when: str, table: str, body: str) -> list[str]:
        function = f"create function revenue_{name}() returns trigger language plpgsql as $$ begin {body} end $$"
        trigger = f"create trigger {name} before {when} on {table} for each row execute function revenue_{name}()"
        return [function, trigger]

    out = [
        "create trigger approvals_append_only before update or delete on approvals for each row "
        "execute function revenue_append_only()"
    ]
    for name, when, table, condition, message in GUARDS:
        # A close that runs at the same moment waits for the intent, or the intent for the close: never both.
        lock = (
            "if new.status = 'sent' then perform 1 from periods p where p.entity_id = new.entity_id "
            "and p.book = new.book and p.period = new.period for share; end if; "
            if name == "posting_batches_send_open"
            else ""
        )
        out += guard(
            name, when, table, f"{lock}if {condition} then raise exception '{message}'; end if; return new;"
        )  # fmt: skip
    owner = "(select tableowner from pg_tables where schemaname = current_schema() and tablename = 'approvals')"
    words = "a person signs only under their own name"
    out += guard(
        "approvals_login", "insert", "approvals",
        f"new.db_login := session_user; if session_user <> {owner} and new.checker <> session_user "
        f"then raise exception '{words}'; end if; return new;",
    )  # fmt: skip
    return out
