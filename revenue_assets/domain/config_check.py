"""All that is wrong with a company's configuration, in plain words and in one go: file, line, row, field, fix."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from revenue_assets.domain import config_rules
from revenue_assets.domain.config import FILES, OPTIONAL_FILES, VARIANCE_CLASSES, Company, files_of
from revenue_assets.domain.config_nodes import Document, Place, read_document
from revenue_assets.domain.config_rules import ADVICE, COMPLETENESS, STRUCTURE

PLACEHOLDER = re.compile(r"change[ _-]?me", re.IGNORECASE)
# Values of these files are never repeated in a message: somebody may have typed a key into them.
SECRET = ("sources", "erp")
PATTERNS = {
    r"^[A-Z]{3}$": "must be an ISO 4217 code of three capitals, such as EUR",
    r"^R(1[0-7]|[1-9])$": "must be R1 to R17",
    r"^[A-Za-z0-9_-]{1,32}$": "must be 1 to 32 letters, digits, - or _",
    r"^[a-z][a-z0-9_-]{0,31}$": "must be lower case letters, digits, - or _, starting with a letter, 32 at most",
    r"^[a-z][a-z0-9_]{0,31}$": "must be lower case letters, digits or _, starting with a letter, 32 at most",
}
TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a map",
    "model_type": "must be a map",
}


@dataclass(frozen=True)
class Finding:
    """One finding. `kind`: structure (no command runs with it), completeness (something will have to wait) or advice
    (a warning). `line` and `row` (both from 1) are None where the place has none."""

    kind: str
    file: str
    line: int | None
    row: int | None
    field: str
    message: str
    fix: str

    @property
    def is_error(self) -> bool:
        return self.kind != ADVICE

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line else "") + (f", row {self.row}" if self.row else "")
        above, _, name = self.field.rpartition(".")
        shown = above if name and self.message.startswith(f"{name} ") else self.field
        field = f"{shown}: " if shown else ""
        end = "" if self.fix.endswith("?") else "."
        return f"{where}: {field}{self.message}. Fix: {self.fix}{end}"

    def as_json(self) -> dict[str, Any]:
        return {"severity": "error" if self.is_error else "warning", **asdict(self)}


def check_config(
    folder: Path, *, currencies: frozenset[str] | None = None, sold_families: frozenset[str] | None = None
) -> list[Finding]:
    """Every finding of a config folder, errors first, then by file and line. Runs nothing and resolves no secret.

    `currencies` and `sold_families` as in `config_rules.remarks`.
    """
    if not folder.is_dir():
        message, fix = "the config folder does not exist", "run `revenue init DIR` or set REVENUE_CONFIG"
        return [Finding(STRUCTURE, str(folder), None, None, "", message, fix)]
    checker = _Checker({name: read_document(folder / f"{name}.yaml") for name in files_of(folder)})
    checker.merge()
    checker.models()
    for remark in config_rules.remarks(
        checker.data, classes=VARIANCE_CLASSES, currencies=currencies, sold_families=sold_families
    ):
        checker.add(remark.kind, remark.place, remark.message, remark.fix)
    checker.placeholders()
    order = {STRUCTURE: 0, COMPLETENESS: 1, ADVICE: 2}
    found = dict.fromkeys(checker.findings)
    files = [f"{name}.yaml" for name in FILES + OPTIONAL_FILES]
    return sorted(found, key=lambda f: (order[f.kind], files.index(f.file), f.line or 0, f.field))


class _Checker:
    def __init__(self, documents: dict[str, Document]) -> None:
        self.documents = documents
        self.data: dict[str, Any] = {}
        self.file_of: dict[str, str] = {}
        self.findings: list[Finding] = []

    def add(self, kind: str, place: Place, message: str, fix: str) -> None:
        """One finding at a place of the merged data, unless that place could not be read in the first place."""
        root = str(place[0]) if place else "company"
        file = self.file_of.get(root) or (root if root in FILES else "company")
        document = self.documents[file]
        if document.is_unread(place):
            return
        in_list = len(place) > 1 and isinstance(place[1], int)
        row = int(place[1]) + 1 if in_list else None
        field = ".".join(str(p) for p in place[2 if in_list else 0 :])
        line = document.line(place) if place else None
        self.findings.append(Finding(kind, f"{file}.yaml", line, row, field, message, fix))

    def merge(self) -> None:
        for name, document in self.documents.items():
            for slip in document.slips:
                in_list = len(slip.place) > 1 and isinstance(slip.place[1], int)
                row = int(slip.place[1]) + 1 if in_list else None
                field = ".".join(str(p) for p in slip.place[2 if in_list else 0 :])
                where = Finding(STRUCTURE, f"{name}.yaml", slip.line or None, row, field, slip.message, slip.fix)
                self.findings.append(where)
            if not isinstance(document.data, dict):
                if not document.slips:
                    fix = f"start it with `{name}:`" if name != "company" else "write `id:`, `name:`, `group_currency:`"
                    self.findings.append(
                        Finding(STRUCTURE, f"{name}.yaml", None, None, "", "must be a map of keys", fix)
                    )
                continue
            for key, value in document.data.items():
                if key in self.file_of:
                    here, line = f"{name}.yaml", document.lines.get((key,))
                    message, fix = f"key {key!r} is already in {self.file_of[key]}.yaml", "keep one of them"
                    self.findings.append(Finding(STRUCTURE, here, line, None, key, message, fix))
                    if key != name:  # the rest is checked on the file that is named for it
                        continue
                self.data[key], self.file_of[key] = value, name

    def models(self) -> None:
        """Unknown keys, missing keys, wrong types: what the models say, in our words."""
        broken = {n for n, d in self.documents.items() if not isinstance(d.data, dict)}
        try:
            Company.model_validate(self.data)
        except ValidationError as error:
            for e in error.errors(include_url=False):
                place = tuple(e["loc"])
                if not place or (e["type"] == "missing" and str(place[0]) in broken):
                    continue
                if place[0] == "policy" and place[2:3] == ("set",) and e["type"] == "value_error":
                    continue  # config_rules says it key by key
                if place[0] == "posting" and e["type"] == "value_error":
                    continue  # so does posting_policy
                if e["type"] == "missing" and len(place) == 1 and "company" in broken:
                    continue
                self.add(STRUCTURE, place, *_words(e))
            whole = [e for e in error.errors(include_url=False) if not e["loc"]]
            rules = list(config_rules.remarks(self.data, classes=VARIANCE_CLASSES, currencies=None, sold_families=None))
            if whole and not any(r.kind == STRUCTURE for r in rules):
                self.add(STRUCTURE, (), whole[0]["msg"].removeprefix("Value error, "), "correct it")

    def placeholders(self) -> None:
        for name, document in self.documents.items():
            for place, value in _leaves(document.data, ()):
                if isinstance(value, str) and PLACEHOLDER.search(value):
                    shown = "" if name in SECRET else f": {value!r}"
                    self.add(ADVICE, place, f"is still a placeholder{shown}", "write your own")


def _leaves(value: Any, place: Place) -> list[tuple[Place, Any]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in _leaves(v, (*place, k))]
    if isinstance(value, list):
        return [leaf for n, v in enumerate(value) for leaf in _leaves(v, (*place, n))]
    return [(place, value)]


def _words(error: Any) -> tuple[str, str]:
    """(what is wrong, the fix) of one pydantic error."""
    place, kind, context = error["loc"], error["type"], error.get("ctx", {})
    shown = "" if place[0] in SECRET else f"; it is {error.get('input')!r}"
    if kind == "missing":
        return "is missing", f"add `{place[-1]}`"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), _fields(place), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"remove it; known: {', '.join(_fields(place))}"
        return f"unknown key {place[-1]!r}", hint
    if kind == "string_type":
        is_number = bool(shown) and type(error.get("input")) is int
        example = f'"{error["input"]}"' if is_number else 'such as "0400"'
        return f"must be text{shown}", f"put it in quotes, {example}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}{shown}", "write one of them"
    if kind == "string_pattern_mismatch":
        words = PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
        return f"{words}{shown}", "correct it"
    if kind == "greater_than_equal":
        return f"must be {context['ge']} or more{shown}", "correct it"
    if kind in TYPES:
        return f"{TYPES[kind]}{shown}", "correct it"
    return error["msg"].removeprefix("Value error, ").rstrip(".?"), "correct it"


def _fields(place: Place) -> list[str]:
    """Keys that are known where an unknown one was found."""
    model: type[BaseModel] = Company
    for step in place[:-1]:
        field = model.model_fields.get(str(step))
        if field is None:  # the number of a row
            continue
        inside = [a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(a, type)]
        models = [a for a in inside if issubclass(a, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
