"""`revenue status` says what waits for a second person, and whose exceptions are how old."""

from __future__ import annotations

import pytest

from revenue_assets.status import by_owner, print_status

ROWS = [
    {"owner_team": "Tax", "assignee": None, "blocks_close": False, "age_days": 3},
    {"owner_team": "Controller", "assignee": "ben", "blocks_close": True, "age_days": 1},
    {"owner_team": "Controller", "assignee": None, "blocks_close": True, "age_days": 9},
]


def test_exceptions_by_owner_with_the_oldest_age():
    assert by_owner(ROWS) == [
        {"owner": "Controller", "open": 2, "unassigned": 1, "blocking": 2, "oldest_days": 9},
        {"owner": "Tax", "open": 1, "unassigned": 1, "blocking": 0, "oldest_days": 3},
    ]


def test_it_is_printed(capsys: pytest.CaptureFixture[str]):
    report = {
        "as_of": "2026-10-31", "tie_out": [], "variances": [], "batches": {"verified": 1, "pending": 1, "dead": 0},
        "erp_documents": 1, "periods": {}, "exceptions": by_owner(ROWS), "approvals": [{"id": "x"}],
        "not_posted": [],
        "schedules": {"planned": 2, "verified": 40},
    }  # fmt: skip
    print_status(report)
    printed = capsys.readouterr().out
    assert "Exceptions of Controller: 2 open, 1 unassigned, 2 block the close, the oldest 9 days old" in printed
    assert "Revenue schedules that the ERP runs, by their newest version: 2 planned, 40 verified" in printed
    assert "1 wait for a second person: revenue approvals list" in printed
