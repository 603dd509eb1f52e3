"""Parts of the NetSuite adapter that need no server: rates, numbers, literals, configuration in plain words."""

from __future__ import annotations

import json
import shutil
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from revenue_assets.domain.config import ConfigError, load_company
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.money import MoneyError
from revenue_assets.posting.erp.catalogue import erp_port
from revenue_assets.posting.erp.netsuite_rates import DIGITS_MAX, exact_rate
from revenue_assets.sources.netsuite_client import exact_json, literal

DEMO = Path(__file__).parents[2] / "config" / "demo"
AMOUNTS = st.lists(st.integers(1, 10**12), min_size=1, max_size=6)


def in_base(amount: int, rate: Decimal, exponent_tc: int, exponent_fc: int) -> int:
    """As NetSuite derives a base amount: amount times rate, rounded to the base currency."""
    base = Decimal(amount).scaleb(-exponent_tc) * rate
    return int(base.scaleb(exponent_fc).quantize(Decimal(1), ROUND_HALF_UP))


@given(AMOUNTS, st.integers(1, 10**7), st.sampled_from([(2, 2), (0, 2), (2, 0), (3, 2), (2, 3)]), st.booleans())
@example([999, 999, 999, 999, 3996], 6_900_000, (2, 2), False)
def test_a_rate_that_is_found_gives_every_amount_exactly(amounts, rate, exponents, negative):
    true_rate = Decimal(rate).scaleb(-7)
    sign = -1 if negative else 1
    pairs = [(sign * a, sign * in_base(a, true_rate, *exponents)) for a in amounts]
    found = exact_rate(pairs, *exponents)
    if found is not None:
        assert [sign * in_base(abs(a), found, *exponents) for a, _ in pairs] == [f for _, f in pairs]
        assert len(found.as_tuple().digits) <= DIGITS_MAX
        assert Decimal(repr(float(found))) == found, "survives a server that keeps rates as doubles"


def test_the_plain_rate_is_found_and_impossible_ones_are_not():
    assert exact_rate([(10_000, 10_800), (-2_500, -2_700)], 2, 2) == Decimal("1.08")
    assert exact_rate([(100, 1)], 0, 2) is not None
    assert exact_rate([(10_000, 10_800), (-10_000, -10_801)], 2, 2) is None, "two rates"
    assert exact_rate([(0, 5)], 2, 2) is None, "an exchange difference has no rate"
    assert exact_rate([(5, -5)], 2, 2) is None
    assert exact_rate([], 2, 2) is None
    assert exact_rate([(10**17, 108 * 10**15 + 1)], 2, 2) is None, "more digits than a double keeps"


@given(st.integers(-(10**15), 10**15), st.sampled_from([0, 2, 3]))
def test_amounts_leave_as_their_own_digits(minor, exponent):
    amount = Decimal(minor).scaleb(-exponent)
    text = exact_json({"debit": amount, "memo": 'a "quoted" line\n', "items": [None, True, 7]})
    back = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert back["debit"] == amount
    assert back["items"] == [None, True, 7]


def test_a_float_never_leaves():
    with pytest.raises(MoneyError):
        exact_json({"debit": 1.1})


def test_literals_cannot_be_left():
    assert literal("O'Brien") == "'O''Brien'"
    assert literal("x' OR '1'='1") == "'x'' OR ''1''=''1'"
    with pytest.raises(ValueError, match="cannot stand"):
        literal("a\nb")


# -- configuration -----------------------------------------------------------------------------------------------

GOOD = {
    "vendor": "netsuite",
    "base_url": "env:ERP_BASE_URL",
    "credentials": {"client_id": "env:NS_CLIENT", "certificate_id": "env:NS_CERT", "private_key": "env:NS_KEY"},
    "options": {"account": "1234567_SB1", "subsidiaries": {"Northwind US": "2"}, "mode": "sync"},
}


def load(tmp_path: Path, **changes: object):
    folder = tmp_path / "config"
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    erp = {**GOOD, **changes}
    (folder / "erp.yaml").write_text(yaml.safe_dump({"erp": {k: v for k, v in erp.items() if v is not None}}))
    return load_company(folder).erp


def options(**changes: object) -> dict[str, object]:
    return {"options": {**GOOD["options"], **changes}}


def test_a_sound_configuration_makes_the_adapter(tmp_path, monkeypatch):
    erp = load(tmp_path)
    monkeypatch.setenv("ERP_BASE_URL", "https://1234567-sb1.suitetalk.api.netsuite.com")
    for name in ("NS_CLIENT", "NS_CERT", "NS_KEY"):
        monkeypatch.setenv(name, f"value of {name}")
    port = erp_port(erp, {"USD": 2})
    assert (port.capabilities.vendor, port.capabilities.settle_seconds) == ("netsuite", 930)
    assert (port.capabilities.kinds, port.capabilities.masters) == ({"journal"}, set())
    whole = erp_port(load(tmp_path, **options(details={})), {"USD": 2}).capabilities
    assert (len(whole.kinds), whole.masters) == (4, {"customer", "item"})
    assert (
        "value of NS_KEY"
        not in f"{erp!r} {port!r} {vars(port)!r} {vars(port._client)!r} {vars(port._client._tokens)!r}"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (options(account=None), "options.account: should be a valid string"),
        ({"options": {}}, "options.account is missing"),
        (options(modee="sync"), "options.modee is not known (did you mean 'mode'?)"),
        (options(mode="batch"), "options.mode must be one of 'sync' or 'async'"),
        (options(subsidiaries={"Northwind US": "two"}), "the internal id of 'Northwind US' must be digits"),
        (options(dimensions={"region": {"field": "cseg_region"}}), "cseg_region needs `table`"),
        (options(dimensions={"region": {"field": "Region"}}), "options.dimensions.region.field must match"),
        (options(write_seconds=1_000), "options.write_seconds: should be less than or equal to 900"),
        (options(details={"number_fieldd": "tranId"}), "options.details.number_fieldd is not known"),
        (options(details={"number_field": "memo"}), "options.details.number_field must match"),
        (options(details={"item_record": "kit"}), "options.details.item_record must be one of 'serviceSaleItem'"),
        (
            options(details={"fields": {"invoice": {"dueDate": "2026-01-01", "location": {"id": "1"}}}}),
            "options.details: fields of invoice may not set dueDate: posting sets it",
        ),
        (options(details={"fields": {"creditMemo": {"otherRefNum": "x"}}}), "may not set otherRefNum"),
        (
            options(details={"number_field": "tranId", "payments_of_many_accounts": "credit_memo"}),
            "need another number_field than tranId",
        ),
        ({"credentials": {"client_id": "env:A", "private_key": "env:B"}}, "credentials need 'certificate_id'"),
        (
            {"credentials": {**GOOD["credentials"], "certificate": "env:C"}},
            "'certificate' is not used by netsuite (did you mean 'certificate_id'?)",
        ),
        ({"credentials": {**GOOD["credentials"], "private_key": "-----BEGIN"}}, "must be a reference"),
        ({"database": "env:DB"}, "netsuite has no `database`"),
        ({"vendor": "tryton"}, "database is missing"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path, change, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **change)
    assert words in str(caught.value)
    assert "erp.yaml" in str(caught.value)
    assert "BEGIN" not in str(caught.value), "a key that somebody typed here is not repeated"


def test_the_host_follows_from_the_account():
    assert NetSuiteOptions(account="1234567_SB1").host == "1234567-sb1.suitetalk.api.netsuite.com"
