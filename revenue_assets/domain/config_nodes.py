"""A config file read leniently: its data, the line of every value, and everything that strict reading would refuse.

The strict reader stops at the first slip; a person who edits a company's configuration wants all of them at once. What
cannot be read becomes None and its place is remembered, so that nobody complains about it twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]
_PLAIN = {"str", "int", "float", "bool", "null", "map", "seq", "timestamp"}
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Slip:
    """One thing that cannot stay as it is written: line (1-based), where in the data, what is wrong, the fix."""

    line: int
    place: Place
    message: str
    fix: str


@dataclass
class Document:
    """A parsed file. `lines` maps a place (keys and row numbers) to its line; `unread` are places without a value."""

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    slips: list[Slip] = field(default_factory=list)
    unread: set[Place] = field(default_factory=set)

    def line(self, place: Place) -> int | None:
        """Line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def is_unread(self, place: Place) -> bool:
        """Whether a place or one around it has been complained about already."""
        return any(place[:n] in self.unread for n in range(len(place) + 1))


def read_document(path: Path) -> Document:
    """Reads one YAML file; never raises for its content. A file that is no YAML at all has one slip and no data."""
    document = Document()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        document.slips.append(Slip(0, (), "no such file", "create it; `revenue init` writes one of each"))
        return document
    except UnicodeDecodeError:
        document.slips.append(Slip(0, (), "not UTF-8 text", "save it as UTF-8"))
        return document
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                document.slips.append(Slip(line, (), "YAML aliases (*name) are not allowed", "write it out"))
                return document
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = str(getattr(error, "problem", None) or error)
        document.slips.append(Slip(mark.line + 1 if mark else 0, (), words, "correct the YAML"))
        return document
    if root is not None:
        document.data = _value(root, (), document)
    return document


def _value(node: yaml.Node, place: Place, document: Document) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(place, line)
    kind = str(node.tag).removeprefix(_TAG)
    if kind not in _PLAIN or not str(node.tag).startswith(_TAG):
        return _refuse(document, line, place, f"the tag {node.tag} is not allowed", "config is plain data; remove it")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, number), document) for number, item in enumerate(node.value)]
    return _scalar(str(node.value), kind, line, place, document)


def _mapping(node: yaml.MappingNode, place: Place, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{_TAG}str":
            shown = key if isinstance(key_node, yaml.ScalarNode) else "a list or map"
            document.slips.append(Slip(line, place, f"key {shown} is not text", "put it in quotes"))
            continue
        if key in first:
            message = f"key {key!r} is already set on line {first[key]}"
            document.slips.append(Slip(line, (*place, key), message, "keep one of them"))
            continue
        first[key] = line
        document.lines[(*place, key)] = line
        found[key] = _value(value_node, (*place, key), document)
    return found


def _scalar(text: str, kind: str, line: int, place: Place, document: Document) -> Any:
    if kind == "int":
        digits = text.lstrip("+-")
        if not digits.isdigit() or (len(digits) > 1 and digits.startswith("0")):
            return _refuse(
                document, line, place, f"{text} would be read as another number", f'write "{text}" in quotes'
            )
        return int(text)
    if kind == "float":
        message = f"{text} is a binary floating-point number"
        fix = f'amounts are whole minor units; write a decimal in quotes: "{text}"'
        return _refuse(document, line, place, message, fix)
    if kind == "timestamp":
        return _refuse(document, line, place, f"{text} would be read as a date", f'write "{text}" in quotes')
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    return None if kind == "null" else text


def _refuse(document: Document, line: int, place: Place, message: str, fix: str) -> None:
    document.slips.append(Slip(line, place, message, fix))
    document.unread.add(place)
