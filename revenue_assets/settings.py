"""Where things are and which environment this is. Reads the process environment once; nothing else does.

| variable | meaning | default |
|---|---|---|
| `REVENUE_HOME` | folder of all data | `.revenue` in the working folder |
| `REVENUE_CONFIG` | the company's config folder | `config/demo` of this checkout |
| `REVENUE_STORE_URL` | operational store, SQLAlchemy URL | SQLite file under the home |
| `REVENUE_OVERLAY` | folder of the company's own dbt models (`models/` inside) | none |
| `REVENUE_AS_OF` | cut-off date `YYYY-MM-DD` | `as_of` in the home's `demo/world.json`, else today (UTC) |
| `REVENUE_ENV` | `local` or `deploy` | `local` |
| `REVENUE_ACTOR` | who acts, in the audit log | the login name of the process |
| `REVENUE_RUNNING` | sensors and schedules that Dagster starts switched on, comma-separated | none |
| `REVENUE_AUDIT_ANCHOR` | file with the audit log's head, outside the store | `audit/anchor.jsonl` under the home |
| `REVENUE_AUDIT_KEY` | Ed25519 private key (PEM) that signs it, `env:NAME` or `file:PATH` | none: unsigned |
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS = ("local", "deploy")
PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent


def shipped(name: str) -> Path:
    """A file or folder that comes with the platform: beside the package in a checkout, inside it in a wheel."""
    return REPOSITORY / name if (REPOSITORY / name).exists() else PACKAGE / name


DAGSTER_YAML = shipped("dagster.yaml")


class SettingsError(ValueError):
    """A setting that cannot be used; the message says which one and what to write instead."""


@dataclass(frozen=True)
class Settings:
    """Paths and switches of one environment. Every path is absolute."""

    home: Path
    config: Path
    store_url: str
    as_of: dt.date
    env: str
    overlay: Path | None = None

    @classmethod
    def load(cls) -> Settings:
        """Reads the environment. Raises SettingsError with a sentence for an unknown environment or a bad date."""
        env = os.environ.get("REVENUE_ENV") or "local"
        if env not in ENVIRONMENTS:
            raise SettingsError(f"REVENUE_ENV is {env!r}; it must be one of: {', '.join(ENVIRONMENTS)}.")
        home = Path(os.environ.get("REVENUE_HOME") or ".revenue").expanduser().absolute()
        config = Path(os.environ.get("REVENUE_CONFIG") or REPOSITORY / "config" / "demo").expanduser().absolute()
        store_url = os.environ.get("REVENUE_STORE_URL") or f"sqlite:///{home / 'store' / 'operational.sqlite'}"
        if env == "deploy" and not os.environ.get("REVENUE_STORE_URL"):
            raise SettingsError("REVENUE_ENV is 'deploy': set REVENUE_STORE_URL to the PostgreSQL operational store.")
        overlay = os.environ.get("REVENUE_OVERLAY")
        own = Path(overlay).expanduser().absolute() if overlay else None
        if own and not (own / "models").is_dir():
            raise SettingsError(f"REVENUE_OVERLAY is {own}, which has no folder `models`; `revenue init` makes one.")
        return cls(home=home, config=config, store_url=store_url, as_of=_as_of(home), env=env, overlay=own)

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def quarantine(self) -> Path:
        return self.home / "quarantine"

    @property
    def journal(self) -> Path:
        """Journal of record: booked lines and their posting members, append-only."""
        return self.home / "journal"

    @property
    def state(self) -> Path:
        """Snapshots of config and operational store that dbt reads."""
        return self.home / "state"

    @property
    def drop(self) -> Path:
        """File drop folder."""
        return self.home / "drop"

    @property
    def warehouse(self) -> Path:
        """The stem stays `revenue`: the dbt manifest carries it as the database name."""
        return self.home / "warehouse" / "revenue.duckdb"

    @property
    def published(self) -> Path:
        return self.home / "published" / "finance.duckdb"

    @property
    def audit_anchor(self) -> Path:
        named = os.environ.get("REVENUE_AUDIT_ANCHOR")
        return Path(named).expanduser().absolute() if named else self.home / "audit" / "anchor.jsonl"

    def audit_key(self) -> str | None:
        """PEM of the private key that signs the audit log's head; None if none is configured."""
        text = os.environ.get("REVENUE_AUDIT_KEY")
        if not text:
            return None
        from revenue_assets.domain.config import Reference

        if not re.fullmatch(r"(env:[A-Z][A-Z0-9_]*|file:/.+)", text):
            raise SettingsError("REVENUE_AUDIT_KEY must be a reference, env:NAME or file:/absolute/path.")
        return Reference(text=text).resolve()

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def dbt_target(self) -> Path:
        return self.home / "dbt" / "target"

    def export(self) -> dict[str, str]:
        """The environment that dbt and child processes need, as strings."""
        own = {}
        if self.overlay:
            models = self.overlay / "models"
            # Every `stg_<name>__events` of the company's own joins canonical.events.
            events = sorted(p.stem[4:-8] for p in models.rglob("stg_*__events.sql"))
            own = {
                "REVENUE_OVERLAY": str(self.overlay),
                "REVENUE_OVERLAY_MODELS": str(models),
                "REVENUE_OVERLAY_EVENT_SOURCES": ",".join(events),
            }
        return own | {
            "REVENUE_HOME": str(self.home),
            "REVENUE_CONFIG": str(self.config),
            "REVENUE_STORE_URL": self.store_url,
            "REVENUE_AS_OF": self.as_of.isoformat(),
            "REVENUE_ENV": self.env,
            "REVENUE_LANDING": str(self.landing),
            "REVENUE_QUARANTINE": str(self.quarantine),
            "REVENUE_STATE": str(self.state),
            "REVENUE_JOURNAL": str(self.journal),
            "REVENUE_WAREHOUSE": str(self.warehouse),
            "DAGSTER_HOME": str(self.dagster_home),
            "DBT_TARGET_PATH": str(self.dbt_target),
            "DBT_LOG_PATH": str(self.dbt_target.parent / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    def prepare(self) -> None:
        """Makes the folders, links the shipped dagster.yaml into DAGSTER_HOME and puts `export()` into os.environ."""
        for path in (
            self.landing, self.quarantine, self.state, self.drop, self.dagster_home, self.dbt_target,
            self.warehouse.parent, self.published.parent, self.journal / "lines", self.journal / "members",
            self.home / "store",
        ):  # fmt: skip
            path.mkdir(parents=True, exist_ok=True)
        instance_yaml = self.dagster_home / "dagster.yaml"
        if not instance_yaml.exists() and DAGSTER_YAML.exists():
            instance_yaml.write_text(DAGSTER_YAML.read_text())
        os.environ.update(self.export())


def login() -> str:
    """Login name of this process; a container may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def actor() -> str:
    """Who acts, as the audit log names them: `REVENUE_ACTOR` where a front end has authenticated the person, else the
    login name."""
    return os.environ.get("REVENUE_ACTOR", "").strip() or login()


def running() -> frozenset[str]:
    """Names of the sensors and schedules that are on unless somebody switches them off in Dagster. Dagster keeps what
    was switched by hand in its home only, so whoever loses the home would lose the posting with it."""
    return frozenset(name.strip() for name in os.environ.get("REVENUE_RUNNING", "").split(",") if name.strip())


def _as_of(home: Path) -> dt.date:
    text = os.environ.get("REVENUE_AS_OF")
    marker = home / "demo" / "world.json"
    if not text and marker.exists():
        text = json.loads(marker.read_text())["as_of"]
    if not text:
        return dt.datetime.now(dt.UTC).date()
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise SettingsError(f"REVENUE_AS_OF is {text!r}; write a date such as 2026-10-31.")
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"REVENUE_AS_OF is {text!r}: {error}.") from None
