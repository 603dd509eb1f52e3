"""posting.yaml: which row holds, and every slip in one go."""

from __future__ import annotations

import shutil
from pathlib import Path

from revenue_assets.domain.config import load_company
from revenue_assets.domain.config_check import check_config
from revenue_assets.domain.posting_policy import Setting, most_cautious, resolve
from revenue_assets.policy.rules import rule_changes

DEMO = Path(__file__).parents[2] / "config" / "demo"
SLIPS = """
posting:
  - {entity: US, set: {delivery_mode: sheduled}}
  - {entity: XX, event_class: invoice.postd, product_family: a, set: {posting_mode: shadow, posting_kind: detail}}
  - {set: {posting_kind: deferred, live_from: 2026-11, release_on: "2026-02-30"}}
  - {set: {posting_kinds: deferred}}
  - {entity: US, set: {delivery_mode: scheduled}}
  - {entity: UK, event_class: invoice.posted, set: {posting_kind: detail, detail_from: "2026-9"}}
  - {entity: UK, set: {detail_from: "2026-09"}}
items:
  - {product_family: platform, item: A}
  - {product_family: platform, item: B}
dimensions:
  - {name: department, roles: [revenue], from: [item, foo]}
"""
WORDS = [
    "delivery_mode must be one of immediate, near_real_time, scheduled",
    "entity 'XX' is not in entities.yaml",
    "Fix: did you mean 'invoice.posted'?",
    "posting_kind detail needs an event class that an ERP has a document for",
    "posting_mode is set per entity and event class, not per product_family",
    "a deferred item needs owner",
    "a deferred item needs reason",
    "live_from belongs to posting_mode live",
    "release_on must be a quoted day",
    "detail_from must be a quoted period such as \"2026-11\"; it is '2026-9'",
    "detail_from belongs to posting_kind detail",
    "Fix: did you mean 'posting_kind'?",
    "delivery_mode is already set for the same scope in row 1",
    "platform appears more than once, first in row 1",
    "must be one of 'line', 'item', 'customer' or 'default'; it is 'foo'",
]


def company(folder: Path, text: str | None) -> Path:
    shutil.copytree(DEMO, folder)
    if text is not None:
        (folder / "posting.yaml").write_text(text, encoding="utf-8")
    return folder


def test_every_slip_is_named_in_one_go(tmp_path: Path) -> None:
    said = [str(f) for f in check_config(company(tmp_path / "c", SLIPS)) if f.is_error]
    assert all(line.startswith("posting.yaml, line ") for line in said)
    for words in WORDS:
        assert [line for line in said if words in line], words
    assert len(said) == len(WORDS)


def test_the_most_specific_row_wins_key_by_key() -> None:
    rows = [
        {"set": {"delivery_mode": "scheduled", "posting_mode": "off"}},
        {"entity": "US", "set": {"posting_mode": "live"}},
        {"event_class": "e", "product_family": "f", "currency": "EUR", "set": {"posting_mode": "shadow"}},
        {"entity": "US", "event_class": "e", "set": {"posting_kind": "detail"}},
    ]
    assert resolve(rows, "US", "e", "f", "EUR") == Setting("detail", "scheduled", "period_end", "live")
    assert resolve(rows, "UK", "e", "f", "EUR").posting_mode == "shadow"
    assert resolve(rows, "UK", "e", "f", "USD").posting_mode == "off"
    assert resolve([], "UK", "e", None, None) == Setting()


def test_the_most_cautious_of_several_holds() -> None:
    early = Setting("deferred", release_on="2026-01-05", owner="a", reason="x")
    late = Setting("deferred", release_on="2026-02-05", owner="b", reason="y")
    never = Setting("deferred", owner="c", reason="z")
    found = most_cautious([Setting(delivery_mode="scheduled"), early, late, Setting(posting_mode="shadow")])
    assert found == Setting("deferred", "scheduled", "period_end", "shadow", None, None, "2026-02-05", "a", "x")
    assert most_cautious([early, never]).release_on is None


def test_a_mode_change_is_a_version_of_the_rules_and_no_file_is_none(tmp_path: Path) -> None:
    (file := company(tmp_path / "plain", None) / "posting.yaml").unlink()
    plain = load_company(file.parent)
    empty = load_company(company(tmp_path / "empty", "posting: []\n"))
    assert plain.content_hash == empty.content_hash
    pilot = load_company(company(tmp_path / "pilot", "posting:\n  - {entity: DE, set: {posting_mode: shadow}}\n"))
    assert pilot.content_hash != plain.content_hash
    assert rule_changes(plain, pilot) == [("posting", "DE", "posting_mode", None, "shadow")]
