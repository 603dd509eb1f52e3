"""How the tests are dealt out to two workers (`make test`): what shares a costly fixture stays together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
# Minutes, where the rest takes seconds: started first, so that nobody waits for it alone at the end.
LONGEST = "integration/test_demo_company.py"


class Groups(LoadScopeScheduling):
    """A group goes to one worker as a whole. (The plugin's own groups do not work with this pytest's node ids.)"""

    def _split_scope(self, nodeid: str) -> str:
        """The file, but one group for all that share the build of the cases and one for all that share an ERP."""
        file = nodeid.partition("::")[0].removeprefix(f"{TESTS.name}/")
        for shared in ("conformance/", "integration/test_tryton_"):
            if file.startswith(shared):
                return shared
        return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.relative_to(TESTS).as_posix() != LONGEST)
