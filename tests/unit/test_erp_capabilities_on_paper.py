"""The capabilities that a decision claims for ERPs without an adapter can be said with the port's types."""

from __future__ import annotations

import re
from pathlib import Path

from revenue_assets.posting.erp.documents import short_key
from revenue_assets.posting.erp.port import Capabilities

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0016-other-erps-fit-the-port.md"


def test_what_the_decision_says_is_code_that_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"Capabilities": Capabilities}
    exec(code, names)
    claimed = [value for value in names.values() if isinstance(value, Capabilities)]
    assert [c.vendor for c in claimed] == ["business_central", "dynamics_365_finance", "sap_s4hana", "oracle_fusion"]
    for capabilities in claimed:
        keys = {short_key(f"{n:032x}", capabilities.key_length_max) for n in range(2_000)}
        assert len(keys) == 2_000, "cut keys stay apart"
        assert {len(key) for key in keys} == {min(32, capabilities.key_length_max)}
