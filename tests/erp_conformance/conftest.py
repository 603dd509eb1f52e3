"""The suite lives in the package; its assertions are rewritten like those of any test."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("revenue_assets.testing")
for beside in ("integration", "unit"):
    sys.path.insert(0, str(Path(__file__).parents[1] / beside))
