"""The strict JSON reader that decides what is a record, before any second parser sees the text.

Parsers disagree on sloppy JSON: for `{"amount":1,"amount":900}` Python keeps 900 and DuckDB reads 1, so the same
bytes would book two amounts. What this module accepts means one thing everywhere; the rest is refused with a reason.

Accepted values: objects without repeated keys, nesting up to `DEPTH_MAX`, integers up to `DIGITS_MAX` digits as `int`,
other numbers as `Decimal` (never float), strings without NUL and without lone surrogates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

DEPTH_MAX = 64
DIGITS_MAX = 38  # DECIMAL(38) is the widest number of the warehouse
EXPONENT_MAX = 30
TEXT_BYTES_MAX = 16 * 1024 * 1024

_SPACE = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class StrictJsonError(ValueError):
    """A text that is not strict JSON. The message is a plain reason and echoes no value: it may be secret."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise StrictJsonError(f"key {_shown(repeated)} stands twice in one object")
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > DIGITS_MAX:
        raise StrictJsonError(f"a number has more than {DIGITS_MAX} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > DIGITS_MAX + 8:
        raise StrictJsonError(f"a number has more than {DIGITS_MAX} digits")
    number = Decimal(text)
    if abs(number.adjusted()) > EXPONENT_MAX and number:
        raise StrictJsonError("a number is too large or too small")
    return number


def _constant(text: str) -> Any:
    raise StrictJsonError(f"{text} is not a JSON number")


def _shown(key: str) -> str:
    return json.dumps(key[:64])


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant, strict=True
)
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str, strict=True)  # only to find where a refused value ends


def loads(text: str) -> Any:
    """The value of a whole JSON text. Raises StrictJsonError with a plain reason; never another error."""
    if len(text) > TEXT_BYTES_MAX:
        raise StrictJsonError(f"the text is longer than {TEXT_BYTES_MAX} characters")
    start = _skip(text, 0)
    value, end = _decode(text, start)
    if _skip(text, end) != len(text):
        raise StrictJsonError(f"more text follows the JSON value at character {end}")
    return value


def loads_object(text: str) -> dict[str, Any]:
    """Like `loads`, for a text that must be one JSON object."""
    value = loads(text)
    if not isinstance(value, dict):
        raise StrictJsonError("the JSON value is not an object")
    return value


def _decode(text: str, start: int) -> tuple[Any, int]:
    try:
        value, end = _STRICT.raw_decode(text, start)
    except StrictJsonError:
        raise
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON: {error.msg} at character {error.pos}") from None
    except StopIteration as error:
        raise StrictJsonError(f"not JSON: no value at character {error.value}") from None
    except RecursionError:
        raise StrictJsonError(f"nesting is deeper than {DEPTH_MAX}") from None
    except ValueError:
        raise StrictJsonError("a number cannot be read") from None
    _check_depth(text, start, end)
    if _SUSPECT_ESCAPE.search(text, start, end):
        _check_strings(value)
    return value, end


def _check_depth(text: str, start: int, end: int) -> None:
    if text.count("{", start, end) + text.count("[", start, end) <= DEPTH_MAX:
        return  # fewer brackets than the limit cannot nest deeper
    depth = 0
    for match in _BRACKETS.finditer(text, start, end):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise StrictJsonError(f"nesting is deeper than {DEPTH_MAX}")
        elif mark in "]}":
            depth -= 1


def _check_strings(value: Any) -> None:
    """NUL cannot be stored by PostgreSQL and a lone surrogate is no character: neither may enter."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            if "\0" in item:
                raise StrictJsonError("a string holds a NUL character")
            if any("\ud800" <= character <= "\udfff" for character in item):
                raise StrictJsonError("a string holds half a surrogate pair")


def _skip(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]


def members(text: str, start: int = 0) -> dict[str, tuple[int, int]]:
    """Where each member's value of the object at `start` stands: key -> (first, past last character).

    Lets a caller cut out or replace one value and keep every other byte as received. The last of repeated keys is
    refused as everywhere. Raises StrictJsonError.
    """
    found: dict[str, tuple[int, int]] = {}
    position = _expect(text, _skip(text, start), "{")
    if text.startswith("}", position):
        return found
    while True:
        key, position = _key(text, position)
        end = _end(text, position)
        if key in found:
            raise StrictJsonError(f"key {_shown(key)} stands twice in one object")
        found[key] = (position, end)
        position = _skip(text, end)
        if text.startswith("}", position):
            return found
        position = _expect(text, position, ",")


def elements(text: str, start: int = 0) -> Iterator[tuple[str, Any, str | None]]:
    """The elements of the array at `start`, one by one: (text as received, value, reason).

    An element that is not strict JSON comes with value None and the reason, and the next ones still follow: one bad
    record harms only itself. Raises StrictJsonError where the text is so broken that its end cannot be found.
    """
    position = _expect(text, _skip(text, start), "[")
    if text.startswith("]", position):
        return
    while True:
        try:
            value, end = _decode(text, position)
            reason = None
        except StrictJsonError as error:
            value, end, reason = None, _end(text, position), str(error)
        yield text[position:end], value, reason
        position = _skip(text, end)
        if text.startswith("]", position):
            return
        position = _expect(text, position, ",")


def _key(text: str, position: int) -> tuple[str, int]:
    if not text.startswith('"', position):
        raise StrictJsonError(f"not JSON: a key is missing at character {position}")
    end = _end(text, position)
    return json.loads(text[position:end]), _expect(text, _skip(text, end), ":")


def _end(text: str, position: int) -> int:
    """Past the last character of the JSON value at `position`, strict or not."""
    try:
        return _LENIENT.raw_decode(text, position)[1]
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON: {error.msg} at character {error.pos}") from None
    except StopIteration as error:
        raise StrictJsonError(f"not JSON: no value at character {error.value}") from None
    except RecursionError:
        raise StrictJsonError(f"nesting is deeper than {DEPTH_MAX}") from None


def _expect(text: str, position: int, character: str) -> int:
    if not text.startswith(character, position):
        raise StrictJsonError(f"not JSON: expected {character!r} at character {position}")
    return _skip(text, position + 1)
