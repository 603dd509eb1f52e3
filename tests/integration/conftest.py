"""Fixtures of the integration tests; each lives in a module of its own. Small ledgers live beside the unit tests, small
companies of rows beside those of dbt."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dbt"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from erp_fixture import erp_server
from generic_ledgers import drop, ledger, rest

__all__ = ["drop", "erp_server", "ledger", "rest"]

# Longer trials are collected when they are asked for.
collect_ignore = [] if os.environ.get("REVENUE_TRIALS") == "full" else ["test_demo_trials.py", "test_added_entity.py"]
