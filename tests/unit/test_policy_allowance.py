"""What a matrix of expected credit losses may look like."""

from __future__ import annotations

import pytest

from revenue_assets.domain import policy

GOOD = [{"days_past_due": 0, "rate": "0.003"}, {"days_past_due": 31, "rate": "1"}]


@pytest.mark.parametrize("value", [None, GOOD, GOOD[1:]])
def test_a_matrix_is_fine(value: object) -> None:
    assert policy.problem("loss_allowance", value) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a list"),
        ({"31": "0.05"}, "must be a list"),
        ([{"days_past_due": 31}], "must be a list"),
        ([{"days_past_due": 31, "rate": 0.05}], "quoted decimal"),
        ([{"days_past_due": 31, "rate": "1.5"}], "between 0 and 1"),
        ([{"days_past_due": -1, "rate": "0.5"}], "0 or more"),
        ([{"days_past_due": True, "rate": "0.5"}], "0 or more"),
        (list(reversed(GOOD)), "must rise"),
        ([GOOD[0], GOOD[0]], "must rise"),
    ],
)
def test_a_matrix_that_is_none_is_refused_in_words(value: object, words: str) -> None:
    assert words in (policy.problem("loss_allowance", value) or "")
