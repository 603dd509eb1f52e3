"""The operational store: what must never be lost. One module per aggregate; `engine.open_store` is the way in.

SQLite (one laptop, one writer) and PostgreSQL run the same tables. What only PostgreSQL can enforce: roles (an
application user without UPDATE on the audit log) and many writers at once; on SQLite the triggers still refuse edits,
but whoever can write the file can drop a trigger.
"""
