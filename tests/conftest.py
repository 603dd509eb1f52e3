"""How the tests are dealt out to two workers (`make test`): what shares a costly fixture stays together."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Minutes, where the rest takes seconds: started first, so that nobody waits for it alone at the end.
LONGEST = "integration/test_demo_company.py"


@pytest.hookimpl(tryfirst=True)  # before the plugin reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group per file, but one for all that share the conformance build and one for all that share an ERP."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _file(item) != LONGEST)


def _group(item: pytest.Item) -> str:
    if "erp_server" in getattr(item, "fixturenames", ()):
        return "erp"
    file = _file(item)
    return "conformance" if file.startswith("conformance/") else file


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
