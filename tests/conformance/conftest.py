"""One build of all open cases, shared by every test of this folder: the build is what costs."""

from __future__ import annotations

import os

import pytest
from compiled import Compiled, compile_project
from open_cases import CASES, Built

from revenue_assets.conformance.build import build
from revenue_assets.conformance.cases import horizon, read_cases
from revenue_assets.conformance.load import write_empty_sources, write_landing, write_state
from revenue_assets.conformance.run import PROJECT, compare
from revenue_assets.domain.calendars import variable
from revenue_assets.state import calendars

# Two builds by the benchmark's command cost more than they can find in every run.
collect_ignore = [] if os.environ.get("REVENUE_TRIALS") == "full" else ["test_benchmark_command.py"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    work_dir = tmp_path_factory.mktemp("conformance")
    cases = read_cases(CASES)
    write_empty_sources(PROJECT, work_dir / "landing", work_dir / "journal")
    write_landing(cases, work_dir / "landing")
    write_state(cases, work_dir / "state")
    warehouse = build(work_dir, horizon(cases))
    return Built(cases, compare(cases, warehouse), work_dir, warehouse)


@pytest.fixture(scope="session")
def compiled(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The project's SQL, for tests that build more than once."""
    week_calendars = variable(calendars(built.work_dir / "state").items())
    return compile_project(tmp_path_factory.mktemp("compiled"), week_calendars)
