"""The evidence of a period verifies on a bare Python, and whatever is changed in it is named."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_close as books
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fake_erp import FakeErp
from store_kit import FakeClock, House, invoice, recognition

from revenue_assets.close.close import close_period
from revenue_assets.domain.config_approvals import Approvals
from revenue_assets.evidence import tables, verify
from revenue_assets.evidence.package import make
from revenue_assets.landing.files import SCHEMA
from revenue_assets.posting.outbox import drain
from revenue_assets.publish.duckdb_file import publish
from revenue_assets.settings import Settings
from revenue_assets.store import approvals, audit, landing, policies
from revenue_assets.store.engine import StoreError

OLD = audit.canonical({"id": "t", "policy": [], "class_owners": {}})
NEW = audit.canonical({"id": "t", "policy": [], "class_owners": {"tax": "Tax"}})
PERIOD = "2026-01"
LIMITS = {
    "limits": [{"entity": "US", "above": 50_00, "currency": "USD"}],
    "approvers": [{"name": "ben", "entity": "US", "up_to": 1_000_000, "currency": "USD"}],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> House:
    """January of US: two rule sets, one batch that a second person approved, a formula for a customer, all closed."""
    house = House.build(tmp_path_factory.mktemp("evidence"))
    clock = FakeClock(dt.datetime(2025, 12, 1))  # noqa: DTZ001
    old, new = (policies.put(house.store, text, company="t", author="anna", clock=clock) for text in (OLD, NEW))
    lines = [*invoice("i1", "2026-01-05", 600_000, policy=old), *recognition("r1", "2026-01-31", 10, policy=new)]
    for line in lines:
        line["customer_id"] = "=cmd|' /C calc'!A0"
    house.should(lines, recognition("r2", "2026-02-28", 10, policy=new))
    approvals.adopt(house.store, Approvals.model_validate(LIMITS), actor="admin")
    books.masters(house)
    books.reconcile(house)
    books.post(house)
    (one,) = approvals.waiting(house.store)
    approvals.decide(house.store, one.id, "approved", checker="ben", reason="the ACME deal", os_login="ben")
    drain(house.store, {"US Inc": FakeErp(FakeClock().now)}, clock=FakeClock())
    _landed(house)
    report = close_period(
        house.store, house.journal, house.warehouse, house.state, PERIOD, ["US"], "anna", as_of=books.AS_OF
    )
    assert report.closed, report.sentence()
    publish(house.store, house.warehouse, house.root / "published" / "finance.duckdb", code_version="1")
    return house


def _landed(house: House) -> None:
    """Events of the build, the landed records they came from, and a statement to publish."""
    folder = house.root / "landing" / "crm" / "deal" / "day=2026-01-05"
    folder.mkdir(parents=True)
    row = dict.fromkeys(SCHEMA.names) | {
        "_source": "crm", "_object": "deal", "_record_id": "d/1", "_content_hash": "h1", "_landing_seq": 1,
        "_batch_id": "b1", "_landed_at": FakeClock().now(),
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), folder / "b1.parquet")
    landing.record(house.store, [landing.LandedBatch("b1", "crm", "deal", 1, 0, {"rows": 1}, FakeClock().now())])
    with duckdb.connect(str(house.warehouse)) as connection:
        connection.execute(
            """create schema canonical; create table canonical.events as
            select event_key, 'invoice.posted' as type, '/crm' as source, event_key as id, now()::timestamp as time,
                'US' as entity_id, document_id as subject, 'crm/deal/d/1' as vendor_record, 'c' as content_hash
            from subledger.journal_lines group by all;
            create schema finance; create table finance.recon_statement as
            select 'R1' as recon_code, '2026-01' as period, 'US' as entity_code,
                0.00::decimal(18, 2) as unexplained_amount"""
        )


KEY = Ed25519PrivateKey.from_private_bytes(b"evidence of the tests, 32 bytes.")


def public_key() -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def pack(house: House, out: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> Any:
    settings = Settings(
        house.root, house.root, str(house.store.engine.url), books.AS_OF, "local"
    )  # the company's config is not read
    with dg.DagsterInstance.ephemeral() as instance:
        return make(
            settings, house.store, "t", PERIOD, ["US"], out, definitions=dg.Definitions(), instance=instance,
            made_by="auditor", clock=FakeClock(),
        )  # fmt: skip


@pytest.fixture(scope="module")
def package(home: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "package"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REVENUE_AUDIT_KEY", raising=False)
        patch.delenv("REVENUE_AUDIT_ANCHOR", raising=False)
        made = pack(home, out)
    assert made.remarks == []
    return out


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return shutil.copytree(package, tmp_path / "copy")


def test_it_verifies_on_a_bare_python(package, tmp_path):
    """No site packages, no environment, another folder: only the standard library and what is in the package."""
    elsewhere = shutil.copytree(package, tmp_path / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py"], cwd=elsewhere, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 booked lines sum to the lines of the batches; 0 are in none" in done.stdout
    assert "2 documents read back from the ERP equal what was sent" in done.stdout
    assert "US hard closed, the snapshot holds" in done.stdout


def test_a_line_leads_to_its_landed_record_and_its_erp_document(package):
    for line in verify.Package(package).rows("journal/lines.csv"):
        found = verify.trace(package, line["booked_line_id"])
        assert found["batch"]["erp_document_number"]
        assert found["event"]["vendor_record"] == "crm/deal/d/1"
        assert [r["content_hash"] for r in found["landed"]] == ["h1"]
    with pytest.raises(verify.Wrong, match="is not in journal"):
        verify.trace(package, "nobody")


def test_the_same_books_give_the_same_files_as_folder_and_as_zip(home, package, tmp_path, monkeypatch):
    monkeypatch.delenv("REVENUE_AUDIT_KEY", raising=False)
    pack(home, tmp_path / "again.zip")
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        names = sorted(archive.namelist())
        assert names == sorted(p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file())
        assert [n for n in names if archive.read(n) != (package / n).read_bytes()] == []
    assert verify.verify(tmp_path / "again.zip") == verify.verify(package)
    with pytest.raises(StoreError, match="never written over"):
        pack(home, tmp_path / "again.zip")


def test_what_cannot_be_read_is_said_and_nothing_is_written(home, tmp_path, monkeypatch):
    monkeypatch.delenv("REVENUE_AUDIT_KEY", raising=False)
    hold = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(home.warehouse)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="a run is writing the warehouse; try again"):
            pack(home, tmp_path / "package")
        writer.communicate("")
    (journal,) = (home.journal.lines).glob("b*.parquet")
    kept = journal.read_bytes()
    journal.write_bytes(kept + b" ")
    with pytest.raises(StoreError, match="is not the file that was committed"):
        pack(home, tmp_path / "package")
    journal.write_bytes(kept)
    assert list(tmp_path.iterdir()) == []


def test_rules_changes_and_approvals_are_there_to_read(package):
    read = verify.Package(package)
    (change,) = read.rows("rules/changes.csv")
    assert (change["row"], change["key"], change["new"]) == ("class_owners", "tax", "Tax")
    assert [v["author"] for v in read.rows("rules/versions.csv")] == ["anna", "anna"]
    (approval,) = read.rows("controls/approvals.csv")
    assert (approval["maker"], approval["checker"], approval["reason"]) == ("system", "ben", "the ACME deal")


def test_a_signed_package_wants_its_key_and_no_other(home, tmp_path, monkeypatch):
    private = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    monkeypatch.setenv("EVIDENCE_KEY", private.decode())
    monkeypatch.setenv("REVENUE_AUDIT_KEY", "env:EVIDENCE_KEY")
    monkeypatch.setenv("REVENUE_AUDIT_ANCHOR", str(tmp_path / "anchor.jsonl"))
    out = tmp_path / "signed"
    assert pack(home, out).is_signed
    assert "the manifest is signed by this key" in verify.verify(out, public_key())[0]
    other = Ed25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    with pytest.raises(verify.Wrong, match=r"no signature|not a signature"):
        verify.verify(out, other.decode())
    _alter_row(out, "controls/exceptions.csv", lambda rows: rows.append(dict.fromkeys(rows[0] if rows else _head(out))))
    _pack_again(out)
    assert verify.verify(out), "without the key a manifest made anew is as good as any"
    with pytest.raises(verify.Wrong, match="not a signature"):
        verify.verify(out, public_key())


def _head(folder: Path) -> list[str]:
    return (folder / "controls/exceptions.csv").read_text().splitlines()[0].split(",")


def test_an_unsigned_package_is_not_taken_for_a_signed_one(package):
    with pytest.raises(verify.Wrong, match="carries no signature"):
        verify.verify(package, public_key())


@pytest.mark.parametrize("seed", range(40))
def test_signatures_are_checked_as_the_library_does(seed):
    dice = random.Random(seed)
    key, message = Ed25519PrivateKey.from_private_bytes(dice.randbytes(32)), dice.randbytes(seed)
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signature = bytearray(key.sign(message))
    assert verify.signature_holds(raw, message, base64.b64encode(signature).decode())
    assert not verify.signature_holds(raw, message + b"x", base64.b64encode(signature).decode())
    signature[dice.randrange(64)] ^= 1 << dice.randrange(8)
    assert not verify.signature_holds(raw, message, base64.b64encode(signature).decode())


def test_any_changed_byte_and_any_foreign_file_is_named(copy):
    names = sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file())
    dice = random.Random(11)
    for name in names:
        if name == "manifest.json":
            continue
        kept = (copy / name).read_bytes()
        if not kept:
            continue
        at = dice.randrange(len(kept))
        (copy / name).write_bytes(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])
        with pytest.raises(verify.Wrong, match=f"{name} is not the file that was packed"):
            verify.verify(copy)
        (copy / name).unlink()
        with pytest.raises(verify.Wrong, match=f"{name} is missing"):
            verify.verify(copy)
        (copy / name).write_bytes(kept)
    (copy / "extra.csv").write_text("a\n")
    with pytest.raises(verify.Wrong, match=r"extra\.csv was added"):
        verify.verify(copy)


# What somebody would do who also makes the manifest anew: (file, change of its rows, what is said).
Rows = list[dict[str, str]]


def _first(name: str, value: str) -> Callable[[Rows], None]:
    return lambda rows: rows[0].update({name: value})


def _last(name: str, value: str) -> Callable[[Rows], None]:
    return lambda rows: rows[-1].update({name: value})


def _cents_moved(rows: Rows) -> None:
    """A whole entry made larger, so that it still balances."""
    for row in rows:
        if row["entry_key"] == rows[0]["entry_key"]:
            for name in ("amount_tc", "amount_fc"):
                row[name] = str(int(row[name]) * 2)


def _held_altered(rows: Rows) -> None:
    document = json.loads(rows[0]["document_json"])
    document["lines"][0]["debit"] += 1
    text = audit.canonical(document)
    rows[0].update(document_json=text, content_hash=hashlib.sha256(text.encode()).hexdigest())


FORGED: dict[str, tuple[str, Callable[[Rows], None], str]] = {
    "a cent": ("journal/lines.csv", _first("amount_fc", "1"), "does not balance"),
    "an entry": ("journal/lines.csv", _cents_moved, "debits of booking"),
    "a line's id": ("journal/lines.csv", _first("booked_line_id", "x"), "id of a booked line"),
    "a line gone": ("journal/lines.csv", lambda r: r.pop(), "does not balance"),
    "an entry gone": ("journal/lines.csv", lambda r: [r.pop(), r.pop()], "lines of booking"),
    "a line twice": ("journal/lines.csv", lambda r: r.append(r[0]), "is there twice"),
    "other rules": ("journal/lines.csv", _first("policy_hash", "f" * 64), "are not in the package"),
    "another booking": ("journal/bookings.csv", _first("sha256", "f" * 64), "booking .* in the audit log"),
    "a state": ("posting/batches.csv", _last("status", "dead"), "is not the last one that the audit log recorded"),
    "an ERP number": ("posting/batches.csv", _last("erp_document_id", "99"), "is not the last one"),
    "an amount": ("posting/batches.csv", _last("debit_fc", "1"), "debits of batch"),
    "another entity": ("posting/batches.csv", _last("entity_id", "DE"), "the key of a batch"),
    "the limit": ("controls/approvals.csv", lambda r: r.clear(), "no second person approved it"),
    "one person": ("controls/approvals.csv", _first("checker", "system"), "no second person approved it"),
    "a member gone": ("posting/members.csv", lambda r: r.pop(), "members of line"),
    "a member twice": ("posting/members.csv", lambda r: r.append(r[0]), "is in two batches"),
    "members swapped": ("posting/members.csv", lambda r: _swap(r, "booked_line_id"), "set of members|amount of line"),
    "what the ERP had": ("posting/read_backs.csv", _first("document_json", "{}"), "a read-back of batch"),
    "what the ERP had, with its hash": ("posting/read_backs.csv", _held_altered, "read-backs of batch .* audit log"),
    "no read-back": ("posting/read_backs.csv", lambda r: r.pop(), "read-backs of batch .* audit log"),
    "an author": ("rules/versions.csv", _first("author", "eve"), "rules .* in the audit log"),
    "an event's record": ("sources/events.csv", _first("vendor_record", "crm/deal/9"), "is not among the landed ones"),
    "a landing batch": ("sources/landing_batches.csv", lambda r: r.clear(), "is not registered"),
    "open again": ("controls/periods.csv", _first("status", "open"), "is not the last one that the audit log"),
    "a link gone": ("audit/links.csv", lambda r: r.pop(3), "link 4 of the audit log is missing"),
    "the tail gone": ("audit/links.csv", lambda r: r.pop(), "entries of link .* are not|was anchored with another"),
    "a link's time": ("audit/links.csv", _first("at", "2020-01-01T00:00:00"), "link 1 of the audit log was changed"),
    "who did it": ("audit/entries.csv", _last("actor", "eve"), "are not those that were recorded"),
    "an entry of the log gone": ("audit/entries.csv", lambda r: r.pop(1), "are not those that were recorded|audit log"),
    "a link's entries gone": ("audit/entries.csv", lambda r: r.pop(0), "in the audit log"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forgery_under_a_new_manifest_is_named(copy, forgery):
    name, change, words = FORGED[forgery]
    _alter_row(copy, name, change)
    _pack_again(copy)
    with pytest.raises(verify.Wrong, match=words):
        verify.verify(copy)


@pytest.mark.parametrize(("pattern", "words"), [
    ("posting/documents/*.json", "the content hash of batch"), ("rules/*.json", "the hash of a rule set"),
    ("audit/anchor.jsonl", "does not follow|has not the form"),
])  # fmt: skip
def test_a_forged_text_under_a_new_manifest_is_named(copy, pattern, words):
    file = sorted(copy.glob(pattern))[0]
    text = file.read_text()
    at = text.rindex('"') - 1
    file.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    _pack_again(copy)
    with pytest.raises(verify.Wrong, match=words):
        verify.verify(copy)


def test_what_a_period_was_closed_with_is_compared_part_by_part(copy):
    file = copy / "controls/close_US.json"
    parts = json.loads(file.read_text())
    parts["now"]["trial_balance"][0]["tc"] += 1
    file.write_text(json.dumps(parts))
    _pack_again(copy)
    assert "US hard closed (but changed since: trial_balance)" in verify.verify(copy)[-1]


def _swap(rows: Rows, name: str) -> None:
    rows[0][name], rows[-1][name] = rows[-1][name], rows[0][name]


def _alter_row(folder: Path, name: str, change: Callable[[Rows], Any]) -> None:
    """Changes a CSV as a forger would who keeps its form."""
    reader = csv.DictReader(io.StringIO((folder / name).read_text(), newline=""))
    rows = list(reader)
    change(rows)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, reader.fieldnames or [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / name).write_text(out.getvalue())


def _pack_again(folder: Path) -> None:
    """The manifest over the files as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, known in manifest["files"].items():
        known["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


# Cells


@pytest.mark.parametrize(
    "value",
    ["=1+1", "+1", "-1", "@x", "'quoted", "''", "", "\t=1", "\r=1", "\n=1", "\uff1d1", 'a,"b"', "a\nb", "ü", " =1"],
)
def test_a_text_comes_back_as_it_was_and_never_runs(tmp_path, value):
    (tmp_path / "t.csv").write_bytes(tables.write(["a", "b"], [{"a": value, "b": None}]))
    assert verify.Package(tmp_path).rows("t.csv") == [{"a": value, "b": None}]
    (stored,) = csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(), newline=""))
    assert not stored["a"].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))


def test_numbers_stay_numbers():
    assert tables.cell(-100) == "-100"
    assert tables.cell("-100") == "'-100"


def test_no_cell_of_the_package_would_run(package):
    seen = 0
    for file in package.rglob("*.csv"):
        for row in csv.reader(io.StringIO(file.read_text(), newline="")):
            for cell in row:
                seen += cell.startswith("'=")
                assert not cell.startswith(("=", "+", "@", "\t", "\r")), (file.name, cell)
                assert not cell.startswith("-") or cell.lstrip("-").isdigit(), (file.name, cell)
    assert seen, "the formula of the customer is in it"
