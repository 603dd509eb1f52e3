#!/usr/bin/env python3
"""Verifies an evidence package offline. Needs Python 3.9 or later and nothing else; `revenue` need not be installed.

    python verify.py [PACKAGE] [--public-key audit.pub]     PACKAGE: the folder or the .zip; default: where this stands
    python verify.py [PACKAGE] --line BOOKED_LINE_ID        one booked line, from the ERP document to its landed record

Everything is computed anew from the files; nothing is taken on trust but the hash functions. The first thing that is
wrong is named and ends it. Exit 0: all holds. 3: something is wrong. 1: the package cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

GENESIS = "0" * 64
csv.field_size_limit(2**31 - 1)


class Wrong(Exception):
    """Something in the package is not what it must be; the message is a sentence."""


class Package:
    """The files of a package, from a folder or a zip."""

    def __init__(self, path):
        self._zip = zipfile.ZipFile(path) if path.is_file() else None
        self._folder = path

    def names(self):
        if self._zip:
            return sorted(n for n in self._zip.namelist() if not n.endswith("/"))
        return sorted(p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if p.is_file())

    def bytes(self, name):
        try:
            return self._zip.read(name) if self._zip else (self._folder / name).read_bytes()
        except (KeyError, FileNotFoundError):
            raise Wrong(f"{name} is missing.") from None

    def text(self, name):
        return self.bytes(name).decode("utf-8")

    def each(self, name):
        """The rows of a CSV as dicts. A leading ' only keeps a spreadsheet from running the cell; empty is None."""
        reader = csv.DictReader(io.StringIO(self.text(name), newline=""), strict=True)
        for row in reader:
            yield {k: None if v == "" else v[1:] if v[0] == "'" else v for k, v in row.items()}

    def rows(self, name):
        return list(self.each(name))


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(value):
    """Of text as it is, of anything else in its canonical form."""
    return hashlib.sha256((value if isinstance(value, str) else canonical(value)).encode()).hexdigest()


def hashed(value):
    """How the log hashes a state: always its canonical form, also of text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def same(what, expected, found):
    if expected != found:
        raise Wrong(f"{what}: {found} where {expected} must be.")


# 1. The files


def files(package, key):
    """Every file has the hash of the manifest, and none was added."""
    manifest = json.loads(package.text("manifest.json"))
    loose = {"manifest.json", "manifest.sig"}
    for name, known in manifest["files"].items():
        if name.startswith("/") or ".." in name.split("/"):
            raise Wrong(f"the manifest names {name}, which lies outside the package.")
        if hashlib.sha256(package.bytes(name)).hexdigest() != known["sha256"]:
            raise Wrong(f"{name} is not the file that was packed.")
    for name in package.names():
        if name not in manifest["files"] and name not in loose:
            raise Wrong(f"{name} was added to the package.")
    count = f"{len(manifest['files'])} files are those that were packed"
    if key is None:
        return count + "; signature not checked (--public-key)"
    if not manifest["signed"]:
        raise Wrong("the package was made without a key and carries no signature.")
    if not signature_holds(key, package.bytes("manifest.json"), package.text("manifest.sig").strip()):
        raise Wrong("manifest.sig is not a signature of manifest.json by this key.")
    return count + ", and the manifest is signed by this key"


# 2. The audit log


def chain(package, key):
    """Links from the first on, entries of the links that matter here, heads that were anchored outside the store."""
    hashes, previous, links = {}, GENESIS, package.rows("audit/links.csv")
    for expected, row in enumerate(links, 1):
        link = {"link_no": int(row["link_no"]), "at": row["at"], "entry_count": int(row["entry_count"]),
                "entries_hash": row["entries_hash"], "prev_hash": row["prev_hash"]}  # fmt: skip
        if link["link_no"] != expected:
            raise Wrong(f"link {expected} of the audit log is missing.")
        if link["prev_hash"] != previous or hashed(link) != row["hash"]:
            raise Wrong(f"link {expected} of the audit log was changed, or the one before it was.")
        previous = hashes[expected] = row["hash"]
    by_link = defaultdict(list)
    names = ("entry_no", "actor", "action", "subject", "before_hash", "after_hash", "detail")
    for row in package.rows("audit/entries.csv"):
        entry = {name: row[name] for name in names}
        by_link[int(row["link_no"])].append({**entry, "entry_no": int(row["entry_no"])})
    for link_no, entries in by_link.items():
        known = links[link_no - 1] if link_no <= len(links) else None
        if known is None or int(known["entry_count"]) != len(entries) or hashed(entries) != known["entries_hash"]:
            raise Wrong(f"the entries of link {link_no} of the audit log are not those that were recorded.")
    anchors = _anchors(package, hashes, key)
    return f"{len(links)} links of the audit log and {sum(map(len, by_link.values()))} entries are whole; {anchors}"


ANCHOR_FIELDS = {"no", "at", "link_no", "hash", "previous_line", "signature"}


def _anchors(package, hashes, key):
    previous, last = GENESIS, 0
    lines = package.text("audit/anchor.jsonl").splitlines()
    for at, raw in enumerate(lines, 1):
        line = json.loads(raw)
        follows = line["no"] == at and line["previous_line"] == previous
        if not follows or set(line) != ANCHOR_FIELDS or canonical(line) != raw:
            raise Wrong(f"line {at} of audit/anchor.jsonl does not follow the line before it.")
        if line["link_no"] and hashes.get(line["link_no"]) != line["hash"]:
            raise Wrong(f"link {line['link_no']} was anchored with another hash: the log was cut or made anew.")
        body = canonical({name: value for name, value in line.items() if name != "signature"})
        if key is not None and not signature_holds(key, body.encode(), line["signature"] or ""):
            raise Wrong(f"line {at} of audit/anchor.jsonl is not signed by this key.")
        previous, last = sha256(raw), line["link_no"]
    return f"anchored up to link {last} by {len(lines)} lines" if lines else "no head was anchored outside the store"


class Log:
    """What the log says per subject: the verified entries, in order."""

    def __init__(self, package):
        self._entries = defaultdict(list)
        for row in package.rows("audit/entries.csv"):
            self._entries[row["subject"]].append((int(row["link_no"]), int(row["entry_no"]), row))
        for entries in self._entries.values():
            entries.sort(key=lambda e: e[:2])

    def after(self, subject, action):
        """Hashes of the states after each entry of this action."""
        return [row["after_hash"] for _, _, row in self._entries[subject] if row["action"] == action]


# 3. The journal


def journal(package, key):
    """Ids of lines come from their content's key; every entry balances; bookings are those of the log."""
    lines, seen = package.rows("journal/lines.csv"), set()
    entries: dict[tuple, int] = defaultdict(int)
    totals: dict[tuple, list] = defaultdict(list)
    for x in lines:
        parts = [x["entry_key"], x["entry_hash"], x["sign"], x["generation"], x["line_no"]]
        same("the id of a booked line", sha256("|".join(parts))[:32], x["booked_line_id"])
        if x["booked_line_id"] in seen:
            raise Wrong(f"booked line {x['booked_line_id']} is there twice.")
        seen.add(x["booked_line_id"])
        entry = tuple(parts[:4])
        entries[(*entry, x["currency"], "")] += int(x["amount_tc"])
        entries[(*entry, "", x["functional_currency"])] += int(x["amount_fc"])
        totals[x["booking_id"], x["entity_id"], x["book"]].append(int(x["amount_fc"]))
    for entry, amount in entries.items():
        if amount:
            raise Wrong(f"entry {entry[0]} does not balance: {amount} minor units {entry[4] or entry[5]} are left.")
    for x in package.rows("journal/booking_periods.csv"):
        what = f"booking {x['booking_id']} of {x['entity_id']}"
        amounts = totals.pop((x["booking_id"], x["entity_id"], x["book"]), [])
        same(f"lines of {what}", int(x["row_count"]), len(amounts))
        same(f"debits of {what}", int(x["debit_fc"]), sum(a for a in amounts if a > 0))
        same(f"credits of {what}", int(x["credit_fc"]), -sum(a for a in amounts if a < 0))
    if totals:
        raise Wrong(f"lines of booking {next(iter(totals))[0]} are not in booking_periods.csv.")
    log = Log(package)
    for x in package.rows("journal/bookings.csv"):
        row = {"booking_id": x["booking_id"], "sha256": x["sha256"], "bytes": int(x["bytes"]),
               "row_count": int(x["row_count"]), "totals": x["control_totals"]}  # fmt: skip
        same(
            f"booking {x['booking_id']} in the audit log",
            [hashed(row)],
            log.after(f"booking:{x['booking_id']}", "booked"),
        )
    return f"{len(lines)} booked lines balance entry by entry and are those of their bookings"


# 4. Posting batches


def batches(package, key):
    """The key is made of the content; the document balances; state and content are those of the log."""
    log = Log(package)
    count: Counter = Counter()
    decided = {a["subject"]: a for a in package.rows("controls/approvals.csv") if a["decision"] == "approved"}
    for b in package.rows("posting/batches.csv"):
        key_, text = b["batch_key"], package.text(f"posting/documents/{b['batch_key']}.json")
        document = json.loads(text)
        same(f"the content hash of batch {key_}", sha256(text), b["content_hash"])
        parts = [b["tenant"], b["entity_id"], b["period"], b["rule_hash"] or "", text]
        same("the key of a batch", sha256("\n".join(parts))[:32], key_)
        for name in ("tenant", "entity_id", "period", "event_class", "functional_currency", "erp_company"):
            same(f"{name} of batch {key_}", document[name], b[name])
        debit = sum(line["debit_fc"] for line in document["lines"])
        same(f"debits of batch {key_}", int(b["debit_fc"]), debit)
        same(f"credits of batch {key_}", debit, sum(line["credit_fc"] for line in document["lines"]))
        subject = f"batch:{key_}"
        same(f"batch {key_} in the audit log", [hashed(b["content_hash"])], log.after(subject, "batch"))
        steps, state = log.after(subject, "posting"), [b["status"], int(b["attempts"]), b["erp_document_id"]]
        if steps and steps[-1] != hashed(state):
            raise Wrong(f"the state of batch {key_} ({b['status']}) is not the last one that the audit log recorded.")
        if not steps and int(b["attempts"]):
            raise Wrong(f"batch {key_} was tried, and the audit log knows nothing of it.")
        if b["approval_limit"] is not None and b["status"] not in ("awaiting_approval", "dead"):
            approval = decided.get(subject)
            if approval is None or approval["checker"].lower() == b["prepared_by"].lower():
                raise Wrong(f"batch {key_} is above its limit, and no second person approved it.")
        count[b["status"]] += 1
    states = ", ".join(f"{n} {status}" for status, n in sorted(count.items())) or "none"
    return f"batches ({states}) have the key of their content, balance, and are as the audit log says"


def members(package, key):
    """Each line of a batch has the number, the set and the sum of booked lines that it says."""
    booked = {x["booked_line_id"]: x for x in package.rows("journal/lines.csv")}
    of_line, taken = defaultdict(list), set()
    for m in package.rows("posting/members.csv"):
        if m["booked_line_id"] not in booked:
            raise Wrong(f"booked line {m['booked_line_id']} of batch {m['batch_key']} is not in journal/lines.csv.")
        if m["booked_line_id"] in taken:
            raise Wrong(f"booked line {m['booked_line_id']} is in two batches.")
        taken.add(m["booked_line_id"])
        of_line[m["batch_key"], int(m["batch_line_no"])].append(booked[m["booked_line_id"]])
    for b in package.rows("posting/batches.csv"):
        for line in json.loads(package.text(f"posting/documents/{b['batch_key']}.json"))["lines"]:
            where = f"line {line['line_no']} of batch {b['batch_key']}"
            found = of_line.pop((b["batch_key"], line["line_no"]), [])
            same(f"members of {where}", line["member_count"], len(found))
            ids = sorted(x["booked_line_id"] for x in found)
            same(f"the set of members of {where}", sha256(",".join(ids)), line["members_hash"])
            same(f"amount of {where}", line["debit_fc"] - line["credit_fc"], sum(int(x["amount_fc"]) for x in found))
            same(f"transaction amount of {where}", line["amount_tc"], sum(int(x["amount_tc"]) for x in found))
            odd = {(x["entity_id"], x["posting_period"], x["currency"], x["account_role"]) for x in found}
            same(f"members of {where}", {(b["entity_id"], b["period"], line["currency"], line["account_role"])}, odd)
    if of_line:
        raise Wrong(f"posting/members.csv names a line of batch {next(iter(of_line))[0]} that its document lacks.")
    return f"{len(taken)} booked lines sum to the lines of the batches; {len(booked) - len(taken)} are in none"


# 5. What the ERP had


def read_backs(package, key):
    """The ERP's document as it was read back equals what was sent, for every verified batch."""
    log, kept = Log(package), defaultdict(list)
    for r in package.rows("posting/read_backs.csv"):
        same(f"a read-back of batch {r['batch_key']}", sha256(r["document_json"]), r["content_hash"])
        kept[r["batch_key"]].append(r)
    equal, without = 0, 0
    for b in package.rows("posting/batches.csv"):
        key_, rows = b["batch_key"], kept.pop(b["batch_key"], [])
        logged = [hashed(r["content_hash"]) for r in rows]
        same(f"read-backs of batch {key_} in the audit log", log.after(f"batch:{key_}", "read back"), logged)
        if b["status"] != "verified":
            continue
        if not rows:  # verified by a version that did not keep them
            without += 1
            continue
        held, sent = json.loads(rows[-1]["document_json"]), json.loads(package.text(f"posting/documents/{key_}.json"))
        what = f"of the ERP's document {b['erp_document_number'] or b['erp_document_id']} (batch {key_})"
        short = base64.b32encode(hashlib.sha256(key_.encode()).digest()).decode()
        if held["key"] != key_ and not (held["key"] and short.startswith(held["key"])):
            raise Wrong(f"key {what}: {held['key']} is not ours.")
        same(f"id {what}", b["erp_document_id"], held["document_id"])
        same(f"company {what}", sent["erp_company"], held["company"])
        same(f"date {what}", sent["date"], held["accounting_date"])
        same(f"state {what}", "posted", held["state"])
        owed = set() if held["kind"] == "journal" else {
            x["account_code"] for x in sent["lines"] if x["account_role"] == "accounts_receivable"
        }  # fmt: skip
        one, other = (_amounts(lines, sent["functional_currency"], owed) for lines in (sent["lines"], held["lines"]))
        if one != other:
            raise Wrong(f"lines {what}: the ERP had {dict(other - one)} where {dict(one - other)} was sent.")
        equal += 1
    if kept:
        raise Wrong(f"posting/read_backs.csv names batch {next(iter(kept))}, which is not in the package.")
    rest = f"; {without} were verified before read-backs were kept" if without else ""
    return f"{equal} documents read back from the ERP equal what was sent{rest}"


def _amounts(lines, functional, joined):
    """Lines as a bag of (account, debit, credit, currency, amount); those of the accounts `joined` as one per currency,
    because an ERP cuts a receivable by due date. In functional currency a line has one amount."""
    bag: Counter = Counter()
    sums: dict[tuple, list] = defaultdict(lambda: [0, 0])
    for x in lines:
        debit, credit = (x[n] if n in x else x[n + "_fc"] for n in ("debit", "credit"))
        own = x["currency"] == functional or x["amount_tc"] == 0
        currency, amount = (functional, debit - credit) if own else (x["currency"], x["amount_tc"])
        if x["account_code"] in joined:
            sums[x["account_code"], currency][0] += debit - credit
            sums[x["account_code"], currency][1] += amount
        elif debit or credit or amount:
            bag[x["account_code"], debit, credit, currency, amount] += 1
    for (account, currency), (net, amount) in sums.items():
        if net or amount:
            bag[account, max(net, 0), max(-net, 0), currency, amount] += 1
    return bag


# 6. Rules, sources, close


def rules(package, key):
    """The text of every rule set that a line or a batch names is there, and is the one of the log."""
    log, texts = Log(package), {}
    for v in package.rows("rules/versions.csv"):
        text = texts[v["content_hash"]] = package.text(f"rules/{v['content_hash']}.json")
        same("the hash of a rule set", sha256(text), v["content_hash"])
        row = {"content_hash": v["content_hash"], "company": v["company"], "content": text, "author": v["author"],
               "approver": v["approver"]}  # fmt: skip
        same(
            f"rules {v['content_hash']} in the audit log",
            [hashed(row)],
            log.after(f"policy:{v['content_hash']}", "policy"),
        )
    used = Counter(x["policy_hash"] for x in package.rows("journal/lines.csv"))
    used.update(b["rule_hash"] for b in package.rows("posting/batches.csv"))
    for name, times in used.items():
        if name not in texts:
            raise Wrong(f"the rules {name}, which {times} lines and batches name, are not in the package.")
    return f"{len(texts)} rule sets; every line and batch names one of them"


def sources(package, key):
    """Each booked line leads to an event, the event to a landed record, the record to a registered landing batch."""
    events = {e["event_key"]: e for e in package.rows("sources/events.csv")}
    registered = {b["batch_id"] for b in package.rows("sources/landing_batches.csv")}
    records = defaultdict(list)
    for r in package.rows("sources/records.csv"):
        if r["batch_id"] not in registered:
            raise Wrong(f"record {r['vendor_record']} landed in batch {r['batch_id']}, which is not registered.")
        records[r["vendor_record"]].append(r)
    gone, lines = 0, package.rows("journal/lines.csv")
    for x in lines:
        event = events.get(x["event_key"])
        gone += event is None
        if event is not None and event["vendor_record"] not in records:
            raise Wrong(f"record {event['vendor_record']} of event {event['event_key']} is not among the landed ones.")
    rest = f"; the events of {gone} are not in the build any more" if gone else ""
    return f"{len(lines) - gone} booked lines lead to {len(events)} events and their landed records{rest}"


def close(package, key):
    """The state of the period is that of the log, and what it was closed with has the hash that was stored."""
    log, said = Log(package), []
    for p in package.rows("controls/periods.csv"):
        subject = f"period:{p['entity_id']}/{p['book']}/{p['period']}"
        changes = log.after(subject, "period")
        if changes and changes[-1] != hashed({"status": p["status"], "snapshot_hash": p["snapshot_hash"]}):
            raise Wrong(
                f"the state of {p['period']} of {p['entity_id']} is not the last one that the audit log recorded."
            )
        if not changes and p["status"] != "open":
            raise Wrong(f"{p['period']} of {p['entity_id']} is {p['status']}, and the audit log knows nothing of it.")
        words = p["status"].replace("_", " ")
        if p["status"] == "hard_closed":
            snapshot = json.loads(package.text(f"controls/close_{p['entity_id']}.json"))
            moved = [name for name, part in snapshot["now"].items() if hashed(part) != snapshot["at_the_close"][name]]
            if not moved:
                same(f"the snapshot of {p['entity_id']}", p["snapshot_hash"], hashed(snapshot["now"]))
            words += f" (but changed since: {', '.join(moved)})" if moved else ", the snapshot holds"
        said.append(f"{p['entity_id']} {words}")
    return "; ".join(said) or "no period is registered"


CHECKS = (files, chain, journal, batches, members, read_backs, rules, sources, close)


def verify(path, public_key=None):
    """The sentences of all checks on the package at `path`; Wrong with a sentence at the first thing that is not right.

    `public_key`: PEM text of the Ed25519 key that manifest and anchors must be signed with.
    """
    try:
        package, key = Package(Path(path)), None if public_key is None else _key_of(public_key)
        return [check(package, key) for check in CHECKS]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise Wrong(
            f"a file of the package has not the form it was written in ({type(error).__name__}: {error})."
        ) from error


def trace(path, line_id):
    """What stands around one booked line: the line, its batch and ERP document, its event, its landed records."""
    package = Package(Path(path))
    line = next((x for x in package.each("journal/lines.csv") if x["booked_line_id"] == line_id), None)
    if line is None:
        raise Wrong(f"{line_id} is not in journal/lines.csv.")
    found = {"line": line}
    member = next((m for m in package.each("posting/members.csv") if m["booked_line_id"] == line_id), None)
    if member:
        batch = next(b for b in package.each("posting/batches.csv") if b["batch_key"] == member["batch_key"])
        found["batch"] = {"line_no": member["batch_line_no"], **batch}
    event = next((e for e in package.each("sources/events.csv") if e["event_key"] == line["event_key"]), None)
    if event:
        found["event"] = event
        record = event["vendor_record"]
        found["landed"] = [r for r in package.each("sources/records.csv") if r["vendor_record"] == record]
    return found


# Ed25519 (RFC 8032), to check signatures without a library. Points in extended coordinates.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P


def _point(raw):
    y, sign = int.from_bytes(raw, "little") & (2**255 - 1), raw[31] >> 7
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (x * x - square) % _P or y >= _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * _D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(n, p):
    out = (0, 1, 1, 0)
    while n:
        out, p, n = _add(out, p) if n & 1 else out, _add(p, p), n >> 1
    return out


_BASE = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def signature_holds(key, message, signature):
    """Whether `signature` (base64) is one of `message` by the public key (32 bytes)."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    if len(raw) != 64:
        return False
    r, a, s = _point(raw[:32]), _point(key), int.from_bytes(raw[32:], "little")
    if r is None or a is None or s >= _ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(raw[:32] + key + message).digest(), "little") % _ORDER
    left, right = _times(s, _BASE), _add(r, _times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 == (left[1] * right[2] - right[1] * left[2]) % _P


def _key_of(pem):
    """The 32 bytes of an Ed25519 public key in PEM."""
    raw = base64.b64decode("".join(x for x in pem.splitlines() if "-----" not in x))
    if len(raw) != 44 or raw[:12] != bytes.fromhex("302a300506032b6570032100"):
        raise Wrong("the public key is not an Ed25519 key in PEM (openssl pkey -in KEY -pubout).")
    return raw[12:]


def main():
    parser = argparse.ArgumentParser(description="Verifies an evidence package; needs nothing but Python.")
    parser.add_argument("package", nargs="?", default=Path(__file__).resolve().parent, type=Path)
    parser.add_argument("--public-key", type=Path, help="PEM of the key that signed it")
    parser.add_argument("--line", help="a booked line to show with its batch, event and landed records")
    given = parser.parse_args()
    try:
        if given.line:
            print(json.dumps(trace(given.package, given.line), indent=2))
            return 0
        key = given.public_key.read_text() if given.public_key else None
        for sentence in verify(given.package, key):
            print("ok   ", sentence)
    except Wrong as wrong:
        print("WRONG", wrong)
        return 3
    except (OSError, zipfile.BadZipFile) as error:
        print("cannot be read:", error)
        return 1
    print("The package is whole and agrees with itself.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
