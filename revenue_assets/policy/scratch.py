"""Builds of the subledger outside the live warehouse: one folder, one landed history, one version of the rules each."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from revenue_assets.domain.calendars import VARIABLE, variable
from revenue_assets.domain.config import Company
from revenue_assets.domain.strict_yaml import ConfigError
from revenue_assets.project import PROJECT_DIR
from revenue_assets.settings import Settings
from revenue_assets.state import calendars, write_config_state, write_parquet
from revenue_assets.store.export import SCHEMAS

# Everything that journals depend on, and the events that the subledger refuses.
WHOLE = ("+journal_lines", "+posting_exceptions")
# The rooms before it do not read policy.
SUBLEDGER = ("+journal_lines,path:models/subledger", "+posting_exceptions,path:models/subledger")


class Scratch:
    """A scratch home beside the live one, over the landed files as they are now.

    The files are hard links (copies across devices): what is landed meanwhile does not appear in one build only.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.state = folder / "state"
        self.warehouse = folder / "warehouse" / "revenue.duckdb"
        self.warehouse.parent.mkdir(parents=True)
        self.state.mkdir()
        _link_tree(settings.landing, folder / "landing")
        if not any((folder / "landing").rglob("*.parquet")):
            raise ConfigError(f"{settings.landing} holds no landed history; run `revenue refresh` first.")
        # What the store says of periods and batches, as of the last run; the journal is never read by these models.
        for name, schema in SCHEMAS.items():
            write_parquet(self.state / f"{name}.parquet", schema, [])
        for file in settings.state.glob("*.parquet") if settings.state.is_dir() else ():
            shutil.copyfile(file, self.state / file.name)

    def build(self, company: Company, target: Path, *, whole: bool) -> Path:
        """Builds what should exist under the company's rules and keeps the warehouse as `target`.

        `whole` False rebuilds only the subledger on top of the last build: for a version with the same entities.
        Raises ConfigError with dbt's findings if a model fails.
        """
        write_config_state(company, self.state)
        environment = {
            **os.environ,
            **self.settings.export(),
            "REVENUE_GROUP_CURRENCY": company.group_currency,
            VARIABLE: variable(calendars(self.state).items()),
            "REVENUE_WAREHOUSE": str(self.warehouse),
            "REVENUE_LANDING": str(self.folder / "landing"),
            "REVENUE_STATE": str(self.state),
            "REVENUE_JOURNAL": str(self.settings.journal),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
        }
        command = [
            str(Path(sys.executable).with_name("dbt")), "run", "--project-dir", str(PROJECT_DIR),
            "--profiles-dir", str(PROJECT_DIR), "--target", self.settings.env,
            "--select", *(WHOLE if whole else SUBLEDGER),
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            said = "\n".join(done.stdout.splitlines()[-30:])
            raise ConfigError(f"the subledger could not be built under {company.content_hash[:12]}:\n{said}")
        shutil.copyfile(self.warehouse, target)
        return target


def has_store(settings: Settings) -> bool:
    """Whether there is an operational store to ask what is booked; asking must not create one."""
    url = make_url(settings.store_url)
    return url.get_backend_name() != "sqlite" or bool(url.database and Path(url.database).is_file())


def _link_tree(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.rglob("*.parquet") if source.is_dir() else ():
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(file, copy)
        if not copy.exists():
            shutil.copyfile(file, copy)
