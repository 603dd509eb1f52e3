"""Customers and items in the emulated account: found before made, made once, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from netsuite_account import Account, running
from netsuite_details import (
    ACME,
    DUE,
    accounts,
    adapter,
    cleared,
    document,
    invoice,
    items,
    master,
    posted,
    with_acme,
    words,
)

from revenue_assets.posting.erp.documents import masters_of
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import Customer, ErpError, Master, MasterKey
from revenue_assets.testing.erp_bench import FaultyTransport


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("netsuite")) as account:
        yield account


@pytest.fixture
def account(served: Account) -> Account:
    return cleared(served)


@pytest.fixture
def erp(account: Account) -> NetSuiteErp:
    return with_acme(account)


def test_a_lost_answer_makes_no_second_customer_or_item(account):
    for kind in ("customer", "noninventorysaleitem"):
        masters = [Master(kind if kind == "customer" else "item", "US Inc", f"code-{kind}", "Beta", "2100")]  # type: ignore[arg-type]
        lost = FaultyTransport("lost_answer", lambda request, kind=kind: request.url.path.lower().endswith(f"/{kind}"))
        with pytest.raises(ErpError) as caught:
            adapter(account, lost).ensure(masters)
        assert caught.value.failure.failure_class == "uncertain"
        assert adapter(account).ensure(masters) == {}
    parties = account.face.parties
    assert [p.body["externalId"] for p in parties.all("customer") + parties.all("item")] == [
        "code-customer",
        "code-noninventorysaleitem",
    ]


def test_a_second_poster_that_came_first_is_no_refusal(account, erp):
    """Between our look and our request another one made the customer: NetSuite refuses a second one, and we use his."""
    other = Customer("cus_2", "Beta")
    transport = _Interposed(account, lambda: adapter(account).ensure([master(other)]))
    assert adapter(account, transport).ensure([master(other)]) == {}
    assert [p.body["externalId"] for p in account.face.parties.all("customer")] == ["cus_acme", "cus_2"]


class _Interposed(httpx.HTTPTransport):
    """Does something just before the first customer is created."""

    def __init__(self, account: Account, act: Any) -> None:
        super().__init__()
        self._act: Any = act

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._act is not None and request.url.path.endswith("/record/v1/customer"):
            act, self._act = self._act, None
            act()
        return super().handle_request(request)


def test_customers_of_one_name_are_two(account, erp):
    twins = [master(Customer(f"cus_{n}", "Acme SARL")) for n in (7, 8)]
    assert erp.ensure(twins) == {}
    assert len(account.face.parties.all("customer")) == 3


def test_a_customer_is_billed_by_a_second_subsidiary_once_linked(account, erp):
    uk = document(
        ("1100", 5, "accounts_receivable", None), ("4000", -5, "revenue", "PLAT"), company="UK Inc", kind="invoice",
        reference="INV-UK", due_date=DUE,
    )  # fmt: skip
    assert words(erp.submit([uk])[0]).startswith("mapping_missing: "), "NetSuite refuses it before"
    assert [erp.ensure([master(ACME, "UK Inc")]) for _ in range(2)] == [{}, {}]
    posted(erp, uk)
    parties = account.face.parties
    assert (len(parties.all("customer")), len(parties.all("link"))) == (1, 1)
    assert erp.resolve([MasterKey("customer", "UK Inc", ACME.id)])


def test_masters_that_are_there_are_left_as_they_are(account, erp):
    """Finance made the tax item; a customer was renamed; an item that it moved to another account is not moved back."""
    chart = {row["acctnumber"]: str(row["id"]) for row in accounts(account)}
    subsidiaries = {"items": [{"id": str(n)} for n in range(1, 6)]}
    own = {"externalId": "gl_2200", "itemId": "VAT", "incomeAccount": {"id": chart["2200"]}, "subsidiary": subsidiaries}
    account.face.parties.add("item", own)
    assert erp.ensure([replace(master(ACME), name="Another name")]) == {}
    posted(erp, invoice("INV-1"))
    (tax,) = [p for p in account.face.parties.all("item") if p.body["externalId"] == "gl_2200"]
    assert tax.body == own
    assert account.face.parties.all("customer")[0].body["companyName"] == "Acme SARL"
    account.face.parties.add("item", {**own, "externalId": "gl_1999", "itemId": "Misc"})
    sent = document(
        ("1100", 5, "accounts_receivable", None), ("1999", -5, "fees", None), kind="invoice", reference="INV-2",
        due_date=DUE,
    )  # fmt: skip
    assert words(erp.submit([sent])[0]) == (
        "mapping_missing: Item gl_1999 is not sold on account 1999 in NetSuite; correct it there, then replay."
    )


def test_masters_that_cannot_be_made_are_said(account, erp):
    chart = {row["acctnumber"]: str(row["id"]) for row in accounts(account)}
    account.face.parties.add("customer", {
        "externalId": "cus_old", "entityId": "old", "companyName": "Old", "isInactive": True, "subsidiary": {"id": "1"},
    })  # fmt: skip
    account.face.parties.add("item", {
        "externalId": "gl_2200", "itemId": "old", "incomeAccount": {"id": chart["2200"]}, "isInactive": True,
        "subsidiary": {"items": [{"id": "5"}]},
    })  # fmt: skip
    odd = [master(Customer("cus|1", "Pipe")), master(Customer("cus_old", "Old")), master(ACME, "No Such Inc")]
    nowhere = Master("item", "US Inc", "NOWHERE", "Nowhere", "9999")
    found = {key.code: f"{f.failure_class}: {f.message}" for key, f in erp.ensure([*odd, nowhere]).items()}
    assert found == {
        "cus|1": "mapping_missing: 'cus|1' cannot be an external id in NetSuite: letters, digits, _ and - only.",
        "cus_old": "mapping_missing: Customer cus_old is inactive in NetSuite; activate it, then replay.",
        "cus_acme": "mapping_missing: NetSuite has no subsidiary 'No Such Inc' that the role may see.",
        "NOWHERE": "mapping_missing: NetSuite has no account 9999 for item NOWHERE.",
    }
    assert "Item gl_2200 is inactive in NetSuite" in words(erp.submit([invoice("INV-1")])[0])
    assert not account.face.erp.documents()


def test_a_role_without_the_right_makes_nothing(account, erp):
    account.face.may_write = False
    (failure,) = erp.ensure([master(Customer("cus_9", "Nine"))]).values()
    assert failure.failure_class == "mapping_missing"
    assert "USER_ERROR" in failure.evidence
    account.face.may_write = True


def test_an_item_out_of_use_is_not_replaced(account, erp):
    """Finance deactivated the item: a second one for the same account would go behind its back."""
    chart = {row["acctnumber"]: str(row["id"]) for row in accounts(account)}
    subsidiaries = {"items": [{"id": "5"}]}
    account.face.parties.add("item", {
        "externalId": "PLAT", "itemId": "PLAT", "incomeAccount": {"id": chart["2100"]}, "isInactive": True,
        "subsidiary": subsidiaries,
    })  # fmt: skip
    assert "Item PLAT is inactive in NetSuite" in words(erp.submit([invoice("INV-1")])[0])
    assert list(items(account)) == ["PLAT"]
    _activate(account)
    posted(erp, invoice("INV-1"))
    assert sorted(items(account)) == ["PLAT", "gl_2200"]


def _activate(account):
    with account.face.erp.ledger.transaction() as sql:
        sql.execute("update netsuite_party set body = replace(body, '\"isInactive\": true', '\"isInactive\": false')")


def test_without_the_option_only_journals_are_posted(account):
    erp = account.adapter()
    sent = invoice("INV-1")
    assert words(erp.submit([sent])[0]) == f"invalid: Document {sent.key} was not sent: this ERP takes no invoice."
    failures = erp.ensure(masters_of(sent))
    assert ({f.failure_class for f in failures.values()}, len(failures)) == ({"unsupported"}, 2)
    assert not account.face.parties.all("customer")
