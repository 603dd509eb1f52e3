"""The strict reader refuses what two parsers would read differently, with a reason and without an echo."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_assets.domain import strict_json


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"amount":"1.00","amount":"900.00"}', 'key "amount" stands twice'),
        ('{"a":{"b":1,"b":1}}', 'key "b" stands twice'),
        ('{"a":NaN}', "NaN is not a JSON number"),
        ('{"a":-Infinity}', "-Infinity is not a JSON number"),
        ('{"a":1e400}', "too large"),
        ('{"a":' + "9" * 5000 + "}", "more than 38 digits"),
        ('{"a":1.' + "0" * 5000 + "}", "more than 38 digits"),
        ("[" * 100_000, "nesting is deeper"),
        ("[" * 65 + "]" * 65, "nesting is deeper"),
        ('{"a":"x\\u0000y"}', "NUL"),
        ('{"a":"\\ud800"}', "surrogate"),
        ('{"a":"x\ty"}', "not JSON"),
        ('{"a":1} {"b":2}', "more text follows"),
        ("{'a':1}", "not JSON"),
        ("", "not JSON"),
        ('{"a":1', "not JSON"),
    ],
)
def test_refused_with_a_plain_reason(text: str, reason: str) -> None:
    with pytest.raises(strict_json.StrictJsonError, match=reason) as caught:
        strict_json.loads(text)
    assert "900.00" not in str(caught.value)


def test_numbers_keep_their_text_and_depth_limit_is_inclusive() -> None:
    value = strict_json.loads(
        '{"amount":1.10,"rate":0.1,"minor":123456789012345678901234567890,"pair":"\\ud83d\\ude00"}'
    )
    assert value["amount"] == Decimal("1.10")
    assert str(value["amount"]) == "1.10"
    assert value["minor"] == 123456789012345678901234567890
    assert value["pair"] == "😀"
    assert strict_json.loads("[" * 64 + "]" * 64)
    assert strict_json.loads('["' + "[" * 100 + '"]') == ["[" * 100]


def test_one_bad_element_harms_only_itself() -> None:
    page = '{"has_more":false, "data" : [ {"a":1.10} ,{"b":NaN}, {"c":1,"c":2},{"d":"]}"} ] }'
    start, end = strict_json.members(page)["data"]
    found = list(strict_json.elements(page, start))
    assert [raw for raw, _, _ in found] == ['{"a":1.10}', '{"b":NaN}', '{"c":1,"c":2}', '{"d":"]}"}']
    assert [reason is None for _, _, reason in found] == [True, False, False, True]
    assert page[start:end].endswith("]")


def test_a_broken_page_is_refused_whole() -> None:
    with pytest.raises(strict_json.StrictJsonError):
        list(strict_json.elements('[{"a":1},{"b":'))
    with pytest.raises(strict_json.StrictJsonError, match="stands twice"):
        strict_json.members('{"data":[],"data":[1]}')


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=5))
def test_slices_are_the_elements_as_received(values: list) -> None:
    text = json.dumps({"x": "[", "data": values, "y": 1})
    start, _ = strict_json.members(text)["data"]
    found = list(strict_json.elements(text, start))
    assert [value for _, value, _ in found] == values
    assert [json.loads(raw) for raw, _, _ in found] == values


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_strict_json_error(text: str) -> None:
    try:
        strict_json.loads(text)
    except strict_json.StrictJsonError:
        return
    json.loads(text)  # whatever we accept is JSON for everybody
