"""Reading of file drops: which files are new, and what makes a file unfit as a whole.

A file counts once per content: the same bytes under another name add nothing. Files are read in order of name, are
never changed or moved, and links are not followed. A file named `<file>.manifest` beside one, JSON with `rows` and
optionally `sha256`, is the sender's promise; a file that breaks it is not loaded at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import Rejected

FILE_BYTES_MAX = 128 * 1024 * 1024
MANIFEST_BYTES_MAX = 64 * 1024
EVIDENCE_BYTES = 4096  # of a refused file, kept in quarantine
MANIFEST_SUFFIX = ".manifest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ()\-]{0,199}")


class FileRefused(Exception):
    """The file as a whole cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the sender says about a file."""

    rows: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """One file of the drop that has not been read with this content."""

    name: str
    text: str
    manifest: Manifest | None


def new_files(folder: Path, pattern: str, seen: set[str]) -> Iterator[DroppedFile | Rejected]:
    """The unseen files whose name matches the regular expression, in order of name; each is added to `seen`.

    Gives Rejected for a file refused as a whole, once. A missing folder has no files.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        if not re.fullmatch(pattern, path.name):
            continue
        content, key = b"", _key(path.name.encode())
        try:
            if not _NAME.fullmatch(path.name):
                raise FileRefused("the file name has characters that are not allowed")
            content = _content(path, FILE_BYTES_MAX)
            note = path.with_name(path.name + MANIFEST_SUFFIX)
            promised = _content(note, MANIFEST_BYTES_MAX) if os.path.lexists(note) else b""
            key = _key(content, promised)
            if key in seen:
                continue
            found: DroppedFile | Rejected
            found = DroppedFile(path.name, _text(content), _manifest(promised, content))
        except FileRefused as refused:
            if key in seen:
                continue
            found = refusal(path.name, str(refused), content)
        seen.add(key)
        yield found


def named_file(path: Path) -> DroppedFile | Rejected:
    """One file that somebody names, under the same conditions as a file of the drop; Rejected if it is unfit."""
    content = b""
    try:
        content = _content(path, FILE_BYTES_MAX)
        note = path.with_name(path.name + MANIFEST_SUFFIX)
        promised = _content(note, MANIFEST_BYTES_MAX) if os.path.lexists(note) else b""
        return DroppedFile(path.name, _text(content), _manifest(promised, content))
    except FileRefused as refused:
        return refusal(path.name, str(refused), content)


def piped(name: str, stream: IO[bytes]) -> DroppedFile | Rejected:
    """What comes through a pipe, as a file called `name`; read no further than a file may be long."""
    content = stream.read(FILE_BYTES_MAX + 1)
    try:
        if len(content) > FILE_BYTES_MAX:
            raise FileRefused(f"it is larger than {FILE_BYTES_MAX} bytes")
        if not content:
            raise FileRefused("it is empty (0 bytes)")
        return DroppedFile(name, _text(content), None)
    except FileRefused as refused:
        return refusal(name, str(refused), content)


def refusal(name: str, reason: str, content: bytes | str) -> Rejected:
    """A file refused whole, with its beginning as evidence."""
    text = content if isinstance(content, str) else content[:EVIDENCE_BYTES].decode("utf-8", "backslashreplace")
    return Rejected(f"file {name[:200]}: {reason}", text[:EVIDENCE_BYTES])


def _content(path: Path, bytes_max: int) -> bytes:
    """The bytes of a plain file. O_NOFOLLOW: what lies behind a link is not ours to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise FileRefused("it is a link or cannot be read") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileRefused("it is not a plain file")
    with os.fdopen(descriptor, "rb") as handle:
        if status.st_size > bytes_max:
            raise FileRefused(f"it is larger than {bytes_max} bytes")
        content = handle.read(bytes_max + 1)
    if not content:
        raise FileRefused("it is empty (0 bytes)")
    return content


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRefused("it is UTF-16, the declared encoding is UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRefused(f"it is not UTF-8 (byte {error.start})") from None
    if "\0" in text:
        raise FileRefused("it holds a NUL character")
    return text.removeprefix("\ufeff")


def _manifest(note: bytes, content: bytes) -> Manifest | None:
    if not note:
        return None
    try:
        value = strict_json.loads_object(note.decode("utf-8"))
    except (UnicodeDecodeError, strict_json.StrictJsonError) as error:
        raise FileRefused(f"its manifest is unusable ({error})") from None
    rows, digest = value.get("rows"), value.get("sha256")
    if isinstance(rows, bool) or not isinstance(rows, int) or not (digest is None or isinstance(digest, str)):
        raise FileRefused("its manifest is unusable (rows must be a whole number, sha256 a text)")
    if digest is not None and digest.lower() != hashlib.sha256(content).hexdigest():
        raise FileRefused("its content is not the one its manifest names (sha256)")
    return Manifest(rows, digest)


def _key(*parts: bytes) -> str:
    """What is remembered of a file: 128 bits are enough to tell files apart and keep the cursor small."""
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]
