"""The generic ERPs' part of erp.yaml: what is refused when the configuration is loaded, and which adapter it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from revenue_assets.domain.config import Erp
from revenue_assets.posting.erp.catalogue import erp_port
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.posting.erp.generic_rest import GenericRestErp

EXPONENTS = {"USD": 2}
REST = {"vendor": "generic_rest", "base_url": "env:ERP_BASE_URL", "credentials": {"token": "env:ERP_TOKEN"}}
DROP = {"vendor": "generic_csv", "base_url": "env:ERP_BASE_URL"}


def test_config_makes_the_adapters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ERP_BASE_URL", "https://ledger.example.com")
    monkeypatch.setenv("ERP_TOKEN", "a-token")
    options = {"mode": "async", "settle_seconds": 120, "key_header": "X-Request-Key", "batch_size_max": 5}
    rest = erp_port(Erp.model_validate(REST | {"options": options}), EXPONENTS)
    assert isinstance(rest, GenericRestErp)
    can = rest.capabilities
    assert (can.mode, can.settle_seconds, can.batch_size_max, can.vendor) == ("async", 120.0, 5, "generic_rest")
    monkeypatch.setenv("ERP_BASE_URL", str(tmp_path))
    drop = erp_port(Erp.model_validate(DROP | {"options": {"folders": {"inbox": "to_ledger"}}}), EXPONENTS)
    assert isinstance(drop, GenericCsvErp)
    assert drop.capabilities.mode == "async"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (REST | {"credentials": {}}, "credentials need 'token'"),
        (REST | {"credentials": {"user": "env:ERP_USER"}}, "credentials need 'password'"),
        (REST | {"credentials": {"tokn": "env:T", "token": "env:T"}}, "'tokn' is not used by generic_rest"),
        (REST | {"options": {"settle_second": 3}}, "did you mean 'settle_seconds'"),
        (REST | {"options": {"mode": "batch"}}, "options.mode must be one of 'sync' or 'async'"),
        (REST | {"database": "env:ERP_DATABASE"}, "generic_rest has no `database`"),
        (REST | {"credentials": {"token": "secret"}}, "must be a reference"),
        (DROP | {"options": {"folders": {"inbox": "../elsewhere"}}}, "is not a plain folder name"),
        (DROP | {"options": {"folders": {"outbox": "x"}}}, "options.folders.outbox"),
        (DROP | {"credentials": {"token": "env:T"}}, "'token' is not used by generic_csv"),
    ],
)
def test_what_does_not_fit_is_said(config: dict, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Erp.model_validate(config)
    assert words in str(caught.value)


def test_plain_http_leaves_this_machine_only_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_BASE_URL", "http://ledger.example.com")
    monkeypatch.setenv("ERP_TOKEN", "a-token")
    with pytest.raises(Exception, match="https"):
        erp_port(Erp.model_validate(REST), EXPONENTS)
