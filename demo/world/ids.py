"""Identifiers that look like the vendors' own, derived from (seed, natural key) by a hash."""

from __future__ import annotations

import hashlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_BASE62 = bytes(ord(_BASE62[n % 62]) for n in range(256))
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class Ids:
    """Deterministic ids: the same seed and natural key give the same id, whatever was asked before."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed)

    def _digest(self, key: tuple[object, ...], length: int) -> bytes:
        text = "\x1f".join((self._seed, *map(str, key)))
        return hashlib.blake2b(text.encode(), digest_size=length).digest()

    def _base62(self, key: tuple[object, ...], length: int) -> str:
        """One character per digest byte: a few characters are likelier than others, 23 of them still never meet."""
        return self._digest(key, length).translate(_TO_BASE62).decode()

    def stripe(self, prefix: str, *key: object) -> str:
        """`prefix_` and 24 characters; customers, products and coupons carry 14 as the vendor's do."""
        if prefix in ("cus", "prod"):
            return f"{prefix}_{self._base62((prefix, *key), 14)}"
        return f"{prefix}_1{self._base62((prefix, *key), 23)}"

    def salesforce(self, prefix: str, *key: object) -> str:
        """18 characters: key prefix, instance, hash, and the three case-safety characters of the first 15."""
        body = f"{prefix}Hs{self._base62((prefix, *key), 10)}"
        suffix = ""
        for start in (0, 5, 10):
            bits = sum(1 << i for i, char in enumerate(body[start : start + 5]) if char.isupper())
            suffix += _SUFFIX[bits]
        return body + suffix

    def number(self, *key: object, below: int) -> int:
        """A stable integer in [0, below), for numeric ids and small jitters."""
        return int.from_bytes(self._digest(key, 16), "big") % below

    def letters(self, *key: object, length: int) -> str:
        """Upper-case letters and digits, as in invoice prefixes."""
        return self._base62(key, length).upper()
