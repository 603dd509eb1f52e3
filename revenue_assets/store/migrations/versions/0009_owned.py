"""An exception whose owner is only blanks is nobody's: the store refuses it, as it refuses an empty one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NOBODY = "an exception has an owner"
WHENS = {"exceptions_owned_new": "insert", "exceptions_owned": "update of owner_team"}


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for name, when in WHENS.items():
            connection.execute(
                sa.text(
                    f"create trigger {name} before {when} on exceptions for each row when trim(new.owner_team) = '' "
                    f"begin select raise(abort, '{NOBODY}'); end"
                )
            )
        return
    connection.execute(
        sa.text(
            "create function revenue_exceptions_owned() returns trigger language plpgsql as $$ begin "
            f"if trim(new.owner_team) = '' then raise exception '{NOBODY}'; end if; return new; end $$"
        )
    )
    for name, when in WHENS.items():
        connection.execute(
            sa.text(
                f"create trigger {name} before {when} on exceptions for each row "
                "execute function revenue_exceptions_owned()"
            )
        )


def downgrade() -> None:
    raise NotImplementedError("controls are never taken away")
