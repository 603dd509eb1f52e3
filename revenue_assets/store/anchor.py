"""The audit log's head, kept outside its tables: one line of JSON per anchoring, each naming the line before it.

A hash chain shows changes inside it, not a tail that was cut off, nor a whole log made anew. Both show against a head
that was written down elsewhere. A line may carry an Ed25519 signature: whoever verifies needs the public key only, and
nobody without the private key can write a line. What a file cannot show is that its own newest lines were cut off
together with the log's; keep it where its writer may only append (docs/audit.md).
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from sqlalchemy import select

from revenue_assets.store import audit
from revenue_assets.store.audit import GENESIS, Head, canonical
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import audit_links

FIELDS = ("no", "at", "link_no", "hash", "previous_line", "signature")


class AnchorError(StoreError):
    """The anchor file is not what was written, or not about this log."""


def write(store: Store, file: Path, *, private_key: str | None = None, clock: Clock = SYSTEM_CLOCK) -> Head:
    """Appends the newest link's hash to `file` unless it stands there already, and returns it.

    `private_key`: PEM of an Ed25519 key. Raises AnchorError, and writes nothing, if the log no longer contains what was
    anchored last: it was cut, rewritten, or restored from a backup.
    """
    signer = None if private_key is None else signing_key(private_key)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)  # two processes at once: one line after the other
        last = _last_line(lines)
        head = audit.newest(store)
        if last is not None:
            known = _parse(last, "the last line")
            _still_there(store, known["link_no"], known["hash"], file)
            if known["link_no"] == head.link_no:
                return head
        elif head.link_no == 0:
            return head
        number = known["no"] + 1 if last is not None else 1
        previous = GENESIS if last is None else hashlib.sha256(last.encode()).hexdigest()
        line = {"no": number, "at": clock.now(), "link_no": head.link_no, "hash": head.hash, "previous_line": previous}
        signature = None if signer is None else sign(signer, canonical(line).encode())
        lines.write(canonical(line | {"signature": signature}) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    return head


def read(file: Path, *, public_key: str | None = None) -> list[Head]:
    """The anchored heads of `file`, oldest first; AnchorError naming the first line that is not as it was written.

    `public_key`: PEM; with it, every line must carry a signature of its private half.
    """
    verifier = None if public_key is None else _public(public_key)
    heads: list[Head] = []
    previous = GENESIS
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for number, raw in enumerate(text.splitlines(), 1):
        where = f"line {number} of {file.name}"
        line = _parse(raw, where)
        if line["no"] != number or line["previous_line"] != previous:
            raise AnchorError(f"{where} does not follow the line before it: a line was changed, taken out or put in.")
        if verifier is not None:
            _check_signature(verifier, line, where)
        heads.append(Head(line["link_no"], line["hash"]))
        previous = hashlib.sha256(raw.encode()).hexdigest()
    return heads


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """The signature of `message`, base64."""
    return base64.b64encode(key.sign(message)).decode()


def _last_line(lines: IO[str]) -> str | None:
    size = lines.seek(0, os.SEEK_END)
    lines.seek(max(0, size - 4096))  # a line has some 350 characters
    found = lines.read().splitlines()
    return found[-1] if found else None


def _parse(raw: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError:
        raise AnchorError(f"{where} of the anchor file is no JSON; it was changed or written in part.") from None
    if not isinstance(line, dict) or set(line) != set(FIELDS) or canonical(line) != raw:
        raise AnchorError(f"{where} of the anchor file is not a line that was written here.")
    return line


def _still_there(store: Store, link_no: int, hash_: str, file: Path) -> None:
    with store.read() as connection:
        found = connection.scalar(select(audit_links.c.hash).where(audit_links.c.link_no == link_no))
    if found != hash_:
        what = "has no such link any more" if found is None else "has another link there"
        raise AnchorError(
            f"link {link_no} of the audit log was anchored in {file}, and the log {what}: it was cut, rewritten or "
            "restored from a backup. Run `revenue audit verify`; after a restore, keep the file as evidence and start "
            "a new one."
        )


def _check_signature(verifier: Ed25519PublicKey, line: dict[str, Any], where: str) -> None:
    body = {name: line[name] for name in FIELDS if name != "signature"}
    try:
        verifier.verify(base64.b64decode(line["signature"] or "", validate=True), canonical(body).encode())
    except (InvalidSignature, ValueError):
        words = "carries no signature" if line["signature"] is None else "carries a signature of another key or text"
        raise AnchorError(f"{where} {words}.") from None


def signing_key(pem: str) -> Ed25519PrivateKey:
    """The private key in `pem`; AnchorError with a sentence for anything else."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise AnchorError("REVENUE_AUDIT_KEY does not lead to an unencrypted PEM private key.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise AnchorError("REVENUE_AUDIT_KEY is not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
    return key


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        raise AnchorError("the public key is not a PEM file; make it with: openssl pkey -in KEY -pubout") from None
    if not isinstance(key, Ed25519PublicKey):
        raise AnchorError("the public key is not an Ed25519 key.")
    return key
