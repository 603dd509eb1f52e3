"""The small ledgers, the fake ERP and the emulators' transport live beside the unit tests."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("unit", "faults", "dbt"))]
