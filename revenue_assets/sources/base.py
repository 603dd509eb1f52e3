"""What every source looks like from outside: pages of records as received, a cursor after each, and plain errors.

Belongs here: the shapes shared by all adapters and the rules of asking politely (bounded retries, Retry-After, loopback
rule). Does not belong here: anything about one vendor, and anything about files of the landing zone.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlsplit

BODY_CHARS_MAX = 4096  # of a vendor's answer inside an error message
ATTEMPTS_MAX = 5
WAIT_SECONDS_MAX = 60.0  # in one pull of one object; a longer Retry-After gives the slot back instead
PAGES_MAX = 100_000
RECORD_ID_PATTERN = r"[A-Za-z0-9_.:\-]{1,128}"  # ids are plain ASCII: no look-alike or invisible characters

Cursor = dict[str, Any]
T = TypeVar("T")


class SourceError(Exception):
    """The source cannot be read, and trying again at once will not help. The message holds no secret."""


class SourceUnavailable(SourceError):
    """The source asks us to come back later; `retry_after` is its wish in seconds (None: it did not say)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PaginationError(SourceError):
    """The pages cannot be trusted (cursor loop, empty page that claims more): nothing counts as complete."""


class Transient(Exception):
    """Raised inside a call given to `patiently`: worth another try, after `retry_after` seconds if it is known."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Record:
    """One record as received. `data` is its value by the strict reader if the source has read it already."""

    record_id: str
    raw: str
    data: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Input that is no record: kept in quarantine. `record_id` if it could be told."""

    reason: str
    raw: str
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a source.

    `cursor`: on the last page of a pull, where the next pull goes on once everything is safely stored. `control`: what
    the source itself said about the size (`expected_rows` of the whole pull, when it says so). `deleted`: ids the
    source says are gone. `complete`: set on the last page of a pull that listed every record there is; what is then
    missing was deleted.
    """

    object: str
    records: list[Record]
    cursor: Cursor
    control: dict[str, Any] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class ObjectContract:
    """What a whole record of one object looks like. Field names are keys of the record as received.

    `amounts` are money: JSON integers in minor units (`minor`) or decimal numbers or texts in major units (`major`);
    the sums of the batch are kept per `currency` field. `stamps` are instants or dates; the first one is the record's
    own time. `immutable`: a record never changes, so a second delivery of its id is ignored. `may_be_empty`: an empty
    landing is no breach.
    """

    required: tuple[str, ...]
    amounts: tuple[str, ...] = ()
    amount_kind: Literal["minor", "major"] = "minor"
    currency: str | None = None
    stamps: tuple[str, ...] = ()
    stamp_kind: Literal["unix", "iso"] = "unix"
    id_pattern: str = RECORD_ID_PATTERN
    immutable: bool = False
    may_be_empty: bool = True


@runtime_checkable
class Source(Protocol):
    """A connected system. Built from plain arguments, it knows nothing of the company config or of Dagster."""

    name: str
    vendor: str
    entity_id: str | None
    OBJECTS: tuple[str, ...]
    CONTRACTS: Mapping[str, ObjectContract]

    def pull(self, object_name: str, cursor: Cursor | None, now: dt.datetime) -> Iterator[Page]:
        """Pages of the object changed since `cursor` (None: everything).

        `now` is an aware UTC instant. Yields at least one page, even if it is empty; only the cursor of the last page
        is a place to go on from. Raises SourceError.
        """
        ...


class CursorStore(Protocol):
    """Where cursors live; the operational store implements it."""

    def get(self, source: str, object_name: str) -> Cursor | None: ...

    def set(self, source: str, object_name: str, cursor: Cursor) -> None: ...


def patiently(
    call: Callable[[], T], what: str, *, sleep: Callable[[float], None] = time.sleep, base_seconds: float = 0.5
) -> T:
    """Runs `call` again while it raises Transient: at most ATTEMPTS_MAX times and WAIT_SECONDS_MAX of waiting in all.

    A Retry-After beyond that budget is not slept through: SourceUnavailable gives the worker's slot back at once, and
    the schedule comes again later.
    """
    waited = 0.0
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return call()
        except Transient as error:
            pause = base_seconds * 2 ** (attempt - 1) if error.retry_after is None else error.retry_after
            if error.retry_after is not None and waited + pause > WAIT_SECONDS_MAX:
                raise SourceUnavailable(
                    f"{what}: the source asks to wait {pause:.0f} s, longer than a run may wait ({error})", pause
                ) from None
            if attempt == ATTEMPTS_MAX or waited + pause > WAIT_SECONDS_MAX:
                raise SourceUnavailable(f"{what}: gave up after {attempt} tries ({error})", error.retry_after) from None
            waited += pause
            sleep(pause)
    raise AssertionError("unreachable: the loop returns or raises")


def retry_after_seconds(headers: Mapping[str, str] | None, now: dt.datetime | None = None) -> float | None:
    """The Retry-After header in seconds: a number or an HTTP date. None if absent or unreadable."""
    text = next((v for k, v in (headers or {}).items() if k.lower() == "retry-after"), None)
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()):
        return float(text)
    try:
        moment = dt.datetime.strptime(text.strip(), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return max(0.0, (moment - (now or dt.datetime.now(dt.UTC))).total_seconds())


def safe_body(body: object, secrets: tuple[str, ...] = ()) -> str:
    """A vendor's answer fit for an error message: cut short, without our credentials."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    text = text[: BODY_CHARS_MAX * 2]
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text[:BODY_CHARS_MAX]


def checked_base_url(url: str | None, source: str) -> str:
    """The address without trailing slash. https only; plain http is accepted for this very machine alone."""
    parts = urlsplit(url or "")
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise SourceError(f"source {source}: base_url must be an https address (http only on this machine)")
    if parts.username or parts.password:
        raise SourceError(f"source {source}: base_url must not carry credentials")
    return str(url).rstrip("/")


def credential(credentials: Mapping[str, Any], key: str, source: str) -> str:
    """One credential as text, unwrapped late. Raises SourceError naming the key, never a value."""
    value = credentials.get(key)
    unwrap = getattr(value, "get_secret_value", None)
    text = unwrap() if unwrap else value
    if not isinstance(text, str) or not text:
        raise SourceError(f"source {source}: credential {key!r} is missing")
    return text


class LoopGuard:
    """Refuses to follow a cursor that was already followed, too many empty pages, or endless pages."""

    def __init__(self, what: str, empty_max: int = 3) -> None:
        self.what = what
        self.empty_max = empty_max
        self._seen: set[str] = set()
        self._empty = 0

    def follow(self, cursor: str, *, page_rows: int) -> None:
        """Call before asking for the page at `cursor`, with the rows of the page that named it."""
        if cursor in self._seen:
            raise PaginationError(f"{self.what}: the next page is one already read; the listing runs in a circle")
        self._seen.add(cursor)
        if len(self._seen) > PAGES_MAX:
            raise PaginationError(f"{self.what}: more than {PAGES_MAX} pages")
        self._empty = 0 if page_rows else self._empty + 1
        if self._empty > self.empty_max:
            raise PaginationError(f"{self.what}: {self._empty} empty pages in a row claim that more follows")


def utc(seconds: int) -> dt.datetime:
    """An aware UTC instant of unix seconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
