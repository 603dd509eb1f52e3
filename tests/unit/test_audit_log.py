"""Tampering shows: edits, deletions, swaps and cut tails of the log, and of the file that anchors it."""

from __future__ import annotations

import datetime as dt
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from store_kit import migrated_sqlite

from revenue_assets.cli import main
from revenue_assets.settings import Settings, SettingsError
from revenue_assets.store import anchor, audit
from revenue_assets.store.engine import Store, open_store

NOW = dt.datetime(2026, 4, 1, 9)  # noqa: DTZ001
MUTATIONS = 10_000 if os.environ.get("REVENUE_TRIALS") == "full" else 200
LINKS = 25
Tamper = Callable[[sqlite3.Cursor, random.Random], int]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    file = tmp_path / "store" / "operational.sqlite"
    file.parent.mkdir()
    file.write_bytes(migrated_sqlite())
    return open_store(f"sqlite:///{file}")


def log(store: Store, links: int = LINKS) -> None:
    for number in range(links):
        with store.write() as connection:
            entries = [
                audit.Entry("anna", "posting", f"batch:{number}", {"n": number}, {"n": number + n}, f"step {n}")
                for n in range(1, 2 + number % 3)
            ]
            audit.record(connection, NOW + dt.timedelta(seconds=number), entries)


def edit(cursor: sqlite3.Cursor, choice: random.Random) -> int:
    """Any column of any row, one character or digit."""
    table = choice.choice(["audit_links", "audit_entries"])
    columns = {
        "audit_links": ["at", "entry_count", "entries_hash", "prev_hash", "hash"],
        "audit_entries": ["actor", "action", "subject", "before_hash", "after_hash", "detail"],
    }
    column = choice.choice(columns[table])
    row, link, value = choice.choice(cursor.execute(f"select rowid, link_no, {column} from {table}").fetchall())
    if column == "entry_count":
        changed: object = value + choice.choice([-1, 1, 7])
    elif column == "at":
        changed = value.replace("09:", "10:")
    else:
        at = choice.randrange(len(value))
        changed = value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]
    cursor.execute(f"update {table} set {column} = ? where rowid = ?", [changed, row])
    return link


def delete(cursor: sqlite3.Cursor, choice: random.Random) -> int:
    """One entry, or one link with its entries (not the last one: that is a cut tail)."""
    link = choice.randrange(1, LINKS)
    if choice.random() < 0.5:
        numbers = [n for (n,) in cursor.execute("select entry_no from audit_entries where link_no = ?", [link])]
        cursor.execute("delete from audit_entries where link_no = ? and entry_no = ?", [link, choice.choice(numbers)])
    else:
        cursor.execute("delete from audit_entries where link_no = ?", [link])
        cursor.execute("delete from audit_links where link_no = ?", [link])
    return link


def swap(cursor: sqlite3.Cursor, choice: random.Random) -> int:
    """Two links change places, or two entries do (with the same number of entries nothing else would give it away)."""
    first, second = sorted(choice.sample(range(1, LINKS + 1), 2))
    tables = ["audit_entries"] if choice.random() < 0.5 else ["audit_entries", "audit_links"]
    for table in tables:
        for old, new in ((first, -1), (second, first), (-1, second)):
            cursor.execute(f"update {table} set link_no = ? where link_no = ?", [new, old])
    return first


def cut(cursor: sqlite3.Cursor, choice: random.Random) -> int:
    """The newest links, up to all of them."""
    first = choice.randrange(1, LINKS + 1)
    for table in ("audit_entries", "audit_links"):
        cursor.execute(f"delete from {table} where link_no >= ?", [first])
    return first


def insert(cursor: sqlite3.Cursor, choice: random.Random) -> int:
    """One more entry in a link, or a forged link at the end, its hashes right."""
    link = choice.randrange(1, LINKS + 1)
    more = (99, "mallory", "posting", "batch:x", None, None, None)
    cursor.execute("insert into audit_entries values (?, ?, ?, ?, ?, ?, ?, ?)", [link, *more])
    return link


KINDS: list[Tamper] = [edit, delete, swap, cut, insert]


def test_every_mutation_is_found_and_its_first_link_named(store, tmp_path):
    log(store)
    file = tmp_path / "anchor.jsonl"
    anchor.write(store, file)
    heads = anchor.read(file)
    assert audit.walk(store, anchors=heads).problem is None
    store.close()
    path = str(store.engine.url.database)
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute("select name from sqlite_master where type = 'trigger' and name like 'audit%'"):
        connection.execute(f"drop trigger {name}")
    # One open transaction for all trials: each is seen through the same connection and then rolled back.
    shared = open_store(f"sqlite:///{path}")
    missed = []
    with shared.engine.connect() as through:
        raw = through.connection.driver_connection
        through.exec_driver_sql("pragma defer_foreign_keys = on")
        cursor = raw.cursor()
        peek = Store(_Through(through))  # type: ignore[arg-type]
        for seed in range(MUTATIONS):
            choice = random.Random(seed)
            tamper = KINDS[seed % len(KINDS)]
            cursor.execute("savepoint trial")
            first = tamper(cursor, choice)
            verdict = audit.walk(peek, anchors=heads)
            if verdict.bad_link != first:
                missed.append((seed, tamper.__name__, first, verdict))
            cursor.execute("rollback to trial")
        assert missed == []
        assert audit.walk(peek, anchors=heads).problem is None


class _Through:
    """An engine whose only connection is the one that made the changes, before they are committed."""

    def __init__(self, connection):
        self.connection = connection

    def connect(self):
        return self

    def __enter__(self):
        return self.connection

    def __exit__(self, *_):
        return None


def test_a_log_made_anew_shows_against_its_anchor(store, tmp_path):
    log(store)
    file = tmp_path / "anchor.jsonl"
    anchor.write(store, file)
    other = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    log(other, LINKS + 3)
    with other.write() as connection:
        audit.record(connection, NOW, [audit.Entry("anna", "x", "y")])
    assert audit.walk(other).problem is None
    assert audit.walk(other, anchors=anchor.read(file)).problem is None, "the same changes give the same hashes"
    forged = open_store(f"sqlite:///{tmp_path / 'forged.sqlite'}")
    with forged.write() as connection:
        audit.record(connection, NOW, [audit.Entry("mallory", "x", "y")])
    log(forged)
    assert audit.walk(forged).problem is None
    verdict = audit.walk(forged, anchors=anchor.read(file))
    assert (verdict.bad_link, "anchored" in (verdict.problem or "")) == (LINKS, True)
    with pytest.raises(anchor.AnchorError, match="cut, rewritten or restored"):
        anchor.write(forged, file)


def keys() -> tuple[str, str]:
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    return secret.decode(), private.public_key().public_bytes(
        pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def test_the_anchor_file_is_signed_line_by_line_and_itself_a_chain(store, tmp_path):
    private, public = keys()
    file = tmp_path / "anchor.jsonl"
    for _ in range(4):
        log(store, 2)
        anchor.write(store, file, private_key=private)
        anchor.write(store, file, private_key=private)  # nothing new: no line
    assert [h.link_no for h in anchor.read(file, public_key=public)] == [2, 4, 6, 8]
    lines = file.read_text().splitlines()
    for changed, words in (
        ([*lines[:1], *lines[2:]], "line 2 of anchor.jsonl does not follow"),
        ([lines[0].replace('"link_no":2', '"link_no":3'), *lines[1:]], "another key or text"),
        ([*lines[:3], lines[3][:40]], "no JSON"),
        ([*lines[:3], lines[3].replace('"at":', '"at": ')], "not a line that was written here"),
    ):
        file.write_text("\n".join(changed) + "\n")
        with pytest.raises(anchor.AnchorError, match=words):
            anchor.read(file, public_key=public)
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(anchor.AnchorError, match="another key"):
        anchor.read(file, public_key=keys()[1])
    log(store, 1)
    anchor.write(store, file)  # a line without a signature
    assert len(anchor.read(file)) == 5
    with pytest.raises(anchor.AnchorError, match="carries no signature"):
        anchor.read(file, public_key=public)


def test_the_command_says_it_in_words_and_exit_codes(store, tmp_path, monkeypatch):
    private, public = keys()
    (tmp_path / "key.pem").write_text(private)
    (tmp_path / "key.pub").write_text(public)
    monkeypatch.setenv("REVENUE_HOME", str(tmp_path))
    monkeypatch.setenv("REVENUE_STORE_URL", str(store.engine.url))
    monkeypatch.setenv("REVENUE_AUDIT_KEY", f"file:{tmp_path / 'key.pem'}")
    log(store)
    first = run("audit", "verify")
    assert (first.exit_code, "a tail that was cut off would not show" in first.output) == (0, True)
    assert run("audit", "anchor").exit_code == 0
    whole = run("audit", "verify", "--public-key", str(tmp_path / "key.pub"))
    assert (whole.exit_code, "all signatures hold; 0 links since" in whole.output) == (0, True)
    with store.write() as connection:
        for name in ("audit_entries_no_delete", "audit_links_no_delete"):
            connection.exec_driver_sql(f"drop trigger {name}")
        connection.exec_driver_sql("delete from audit_entries where link_no > 20")
        connection.exec_driver_sql("delete from audit_links where link_no > 20")
    broken = run("audit", "verify")
    assert broken.exit_code == 3
    assert "BROKEN: link 25 was anchored, but the log ends at link 20: its tail was cut off." in broken.output
    monkeypatch.setenv("REVENUE_AUDIT_KEY", "my-secret")
    with pytest.raises(SettingsError, match="must be a reference"):
        Settings.load().audit_key()


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))
