"""The mode of a batch never changes: a shadow batch that became live would post what the old process has posted.

Going live cuts anew, under keys of its own, what is dated from `live_from` on (docs/posting-policy.md).
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FIXED = "posting_batches: the mode of a batch never changes"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.get_bind().exec_driver_sql(
            "create trigger posting_batches_mode_fixed before update of mode on posting_batches for each row "
            f"when new.mode <> old.mode begin select raise(abort, '{FIXED}'); end"
        )
        return
    op.get_bind().exec_driver_sql(
        "create function revenue_posting_batches_mode_fixed() returns trigger language plpgsql as $$ begin "
        f"if new.mode <> old.mode then raise exception '{FIXED}'; end if; return new; end $$"
    )
    op.get_bind().exec_driver_sql(
        "create trigger posting_batches_mode_fixed before update of mode on posting_batches for each row "
        "execute function revenue_posting_batches_mode_fixed()"
    )


def downgrade() -> None:
    raise NotImplementedError("controls are never taken away")
