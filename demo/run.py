"""`revenue demo`: one pretend company from nothing to a closed month, on real HTTP and a real ERP.

The same command again on the same home changes nothing: what is there is found, not made twice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from demo import services
from demo.erp import plants, setup
from demo.world import generate
from revenue_assets.domain.config import Account, load_company
from revenue_assets.runs import run_job
from revenue_assets.settings import Settings
from revenue_assets.state import accounts_of

Echo = Callable[[str], None]
DEFAULTS = {"seed": 7, "customers": 300, "months": 15}
LIMITS = {"seed": (0, 2**31 - 1), "customers": (1, 100_000), "months": (1, 60)}
LAST_DAY = dt.date(2026, 10, 31)
# Roles on the balance sheet that a customer invoice or credit note may stand on.
_SOLD = frozenset(
    {"deferred_revenue", "unbilled_receivable", "contract_asset", "customer_balance", "external_customer_balance",
     "unapplied_cash", "refund_liability"}
)  # fmt: skip


class DemoError(RuntimeError):
    """The demo cannot run; the message is a sentence."""


@dataclass(frozen=True)
class Size:
    seed: int
    customers: int
    months: int

    @property
    def periods(self) -> list[str]:
        """The months of the pretend company's life, oldest first."""
        last = LAST_DAY.year * 12 + LAST_DAY.month - 1
        return [f"{m // 12}-{m % 12 + 1:02d}" for m in range(last - self.months + 1, last + 1)]


def run(home: Path, *, seed: int | None, customers: int | None, months: int | None, echo: Echo) -> bool:
    """Plays the whole demo in `home`; True if every step succeeded. Raises DemoError for a size out of range."""
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        size = _size(home, seed=seed, customers=customers, months=months, echo=echo)
        _world(home, size, echo)
        os.environ["REVENUE_AS_OF"] = LAST_DAY.isoformat()
        settings = Settings.load()
        settings.prepare()
        _treasury_files(home, settings.drop)
        echo("Starting the outside systems: CRM, billing, tax engine, ERP")
        with services.running(home) as running:
            _erp_company(running, settings, size)
            from revenue_assets.build import build_defs

            definitions = build_defs()
            if not (home / "demo" / "erp_planted.json").exists():
                echo("Landing, modelling, booking and posting (daily_posting_job)")
                outcome = run_job(definitions, "daily_posting_job", echo)
                if not outcome.success:
                    return _failed(outcome, echo)
                echo("Somebody at the company touches the ERP by hand")
                plants.plant(home)
                (home / "demo" / "erp_planted.json").write_text(json.dumps({"planted": True}))
            echo(f"Closing {size.periods[0]} to {size.periods[-1]} (monthly_close_job)")
            outcome = run_job(
                definitions, "monthly_close_job", echo, first_period=size.periods[0], last_period=size.periods[-1]
            )
            if not outcome.success:
                return _failed(outcome, echo)
            echo("Publishing the closed months (publish_job)")
            outcome = run_job(definitions, "publish_job", echo)
            return outcome.success or _failed(outcome, echo)


def _failed(outcome: object, echo: Echo) -> bool:
    for line in [*outcome.failures, *(f"red check: {c}" for c in outcome.red_checks)]:  # type: ignore[attr-defined]
        echo(f"  {line}")
    return False


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One demo at a time in a home; the lock goes with the process, however it ends."""
    with (home / ".demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"another `revenue demo` is running in {home}; wait for it or use another REVENUE_HOME."
            ) from None
        yield


def _size(home: Path, *, echo: Echo, **asked: int | None) -> Size:
    """What was asked for; what was left open comes from the home, else from the defaults.

    Another company than the one that lives here moves the old home's content aside, where nothing is lost.
    """
    for name, value in asked.items():
        low, high = LIMITS[name]
        if value is not None and not low <= value <= high:
            raise DemoError(f"--{name} must lie between {low} and {high}; it is {value}.")
    marker = home / "demo" / "world.json"
    before = json.loads(marker.read_text())["size"] if marker.exists() else None
    size = Size(**{k: v if v is not None else (before or DEFAULTS)[k] for k, v in asked.items()})
    if before is not None and before != asdict(size):
        aside = home / "previous" / "-".join(f"{k}{v}" for k, v in before.items())
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        aside.mkdir(parents=True)
        for entry in home.iterdir():
            if entry.name not in ("previous", ".demo.lock"):
                shutil.move(str(entry), aside / entry.name)
        echo(f"This home held another company; it was moved to {aside}")
        cache = aside / "demo" / "erp" / "cache"
        if cache.exists():
            (home / "demo" / "erp").mkdir(parents=True)
            shutil.move(str(cache), home / "demo" / "erp" / "cache")
    return size


def _world(home: Path, size: Size, echo: Echo) -> None:
    """Writes the company's records once; the marker comes last, so a killed run starts over."""
    marker = home / "demo" / "world.json"
    if marker.exists():
        return
    echo(f"Making the company: seed {size.seed}, {size.customers} customers, {size.months} months")
    folder = home / "demo" / "world"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    generate(size.seed, size.customers, size.months).write(folder)
    beside = marker.with_suffix(".partial")
    beside.write_text(json.dumps({"size": asdict(size), "as_of": LAST_DAY.isoformat()}))
    beside.replace(marker)


def _treasury_files(home: Path, drop: Path) -> None:
    """Treasury drops its files where the platform looks for them; same content again is no new file."""
    target = drop / "treasury"
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted((home / "demo" / "world" / "treasury").glob("*.csv")):
        beside = target / f".{file.name}.partial"
        shutil.copyfile(file, beside)
        beside.replace(target / file.name)


def _erp_company(running: services.Services, settings: Settings, size: Size) -> None:
    company = load_company(settings.config)
    setup.ensure(
        running.erp.base_url,
        running.erp.database,
        running.erp.admin_password,
        {e.erp_company: e.functional_currency for e in company.entities},
        {e.erp_company: [_account(a) for a in accounts_of(company, e.id)] for e in company.entities},
        range(int(size.periods[0][:4]), LAST_DAY.year + 2),
        robot=(running.erp.user, running.erp.password),
    )


def _account(account: Account) -> tuple[str, str, str]:
    """Code, name and the ERP's type: customers' open items stand on receivables, invoices sell on what is sold."""
    if account.role == "accounts_receivable":
        return account.code, account.name, "receivable"
    return account.code, account.name, f"sold_{account.type}" if account.role in _SOLD else account.type
