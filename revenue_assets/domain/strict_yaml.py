"""One strict YAML reader for everything a person edits: config is data, never code.

Refused with file and line: duplicate keys, tags (`!!python/...`), aliases and anchors (alias bombs), unquoted
numbers with leading zeros (PyYAML reads 0400 as 256) and binary floats (money and rates are quoted decimals).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_NODES = 50_000


class ConfigError(ValueError):
    """A config file that cannot be used. The message names file, place and fix, and never echoes a secret."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses what PyYAML would silently reinterpret."""

    source = "<config>"
    nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ConfigError(
                f"{self.source}, line {self._line()}: YAML aliases (*name) are not allowed; write it out."
            )
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConfigError(f"{self.source}: more than {MAX_NODES} values; split the file.")
        return super().compose_node(parent, index)

    def _line(self) -> int:
        return self.peek_event().start_mark.line + 1


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise ConfigError(f"{loader.source}, line {line}: key {key!r} is not text; put it in quotes.")
        if key in seen:
            raise ConfigError(
                f"{loader.source}, line {line}: key {key!r} is already set on line {seen[key]}; keep one of them."
            )
        seen[key] = line
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _integer(loader: _StrictLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    digits = text.lstrip("+-")
    if not digits.isdigit() or (len(digits) > 1 and digits.startswith("0")):
        line = node.start_mark.line + 1
        raise ConfigError(
            f'{loader.source}, line {line}: {text} would be read as another number; write it in quotes: "{text}".'
        )
    return int(text)


def _no_float(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    line = node.start_mark.line + 1
    raise ConfigError(
        f"{loader.source}, line {line}: {node.value} is a binary floating-point number; "
        f'write decimals in quotes: "{node.value}".'
    )


def _no_tag(loader: _StrictLoader, node: yaml.Node) -> Any:
    line = node.start_mark.line + 1
    raise ConfigError(f"{loader.source}, line {line}: the tag {node.tag} is not allowed; config is plain data.")


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _no_float)
_StrictLoader.add_constructor(None, _no_tag)


def read_yaml(path: Path) -> Any:
    """The parsed file. Raises ConfigError for a missing, unreadable or non-strict file."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text.") from None
    loader = _StrictLoader(text)
    loader.source = path.name
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path.name}{place}: {getattr(error, 'problem', error)}.") from None
    finally:
        loader.dispose()
