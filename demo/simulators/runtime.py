"""The simulators put together: keys, one server per vendor, and what a client needs to reach them."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demo.simulators.avalara import AvalaraApp, TaxLogin
from demo.simulators.faults import Fault, Weather
from demo.simulators.salesforce import CrmLogin, SalesforceApp
from demo.simulators.server import App, LoopbackServer
from demo.simulators.stripe import StripeApp
from demo.simulators.tables import Instance, WorldError

CRM = "crm"
TAX = "tax"
BILLING_PREFIX = "billing_"


@dataclass
class Secrets:
    """The keys the simulators accept. `stripe_keys` maps source instance to secret key."""

    crm_client_id: str
    crm_client_secret: str
    avatax_account: str
    avatax_license: str
    stripe_keys: dict[str, str] = field(default_factory=dict)
    crm_jwt_public_key: str | None = None
    crm_jwt_username: str | None = None

    @classmethod
    def new(cls) -> Secrets:
        """Fresh random keys in the vendors' shapes."""
        return cls(
            crm_client_id=f"3MVG9{secrets.token_urlsafe(60)}",
            crm_client_secret=secrets.token_hex(32).upper(),
            avatax_account=str(2_000_000_000 + secrets.randbelow(100_000_000)),
            avatax_license=secrets.token_hex(8).upper(),
        )

    @classmethod
    def kept(cls, path: Path, accounts: list[str]) -> Secrets:
        """The keys of a home, made on first use; the file is readable by its owner alone."""
        known = cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else cls.new()
        for name in accounts:
            known.stripe_keys.setdefault(
                name, f"sk_test_{secrets.token_urlsafe(48).replace('-', 'x').replace('_', 'y')}"
            )
        write_private(path, json.dumps(asdict(known), indent=1))
        return known

    def environment(self, urls: dict[str, str]) -> dict[str, str]:
        """The environment variables by which the demo's company config finds the vendors."""
        names = {
            "CRM_BASE_URL": urls["salesforce"],
            "CRM_CLIENT_ID": self.crm_client_id,
            "CRM_CLIENT_SECRET": self.crm_client_secret,
            "STRIPE_BASE_URL": urls["stripe"],
            "AVATAX_BASE_URL": urls["avalara"],
            "AVATAX_ACCOUNT": self.avatax_account,
            "AVATAX_LICENSE": self.avatax_license,
        }
        for instance, key in self.stripe_keys.items():
            names[f"STRIPE_KEY_{instance.removeprefix(BILLING_PREFIX).upper()}"] = key
        return names


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, replacing it in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    scratch.replace(path)


def stripe_accounts(world: Path) -> list[str]:
    """The billing instances a world holds, in name order."""
    return sorted(item.name for item in world.iterdir() if item.is_dir() and item.name.startswith(BILLING_PREFIX))


@dataclass
class Running:
    """Servers that are up: base URL and app per vendor. Tests reach faults and limits through the apps."""

    urls: dict[str, str]
    apps: dict[str, App]
    crm: SalesforceApp
    billing: StripeApp
    tax: AvalaraApp


@contextmanager
def serving(
    world: Path,
    keys: Secrets,
    *,
    faults: dict[str, list[Fault]] | None = None,
    now: int | None = None,
    log: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Iterator[Running]:
    """Serve a world on free loopback ports until the block ends."""
    if not world.is_dir():
        raise WorldError(f"{world} is not there: make the demo world first")
    accounts = {keys.stripe_keys[name]: Instance(world / name) for name in stripe_accounts(world)}
    if not accounts:
        raise WorldError(f"{world} holds no {BILLING_PREFIX}* directory")
    weather = {name: Weather((faults or {}).get(name)) for name in ("salesforce", "stripe", "avalara")}
    login = CrmLogin(keys.crm_client_id, keys.crm_client_secret, keys.crm_jwt_public_key, keys.crm_jwt_username)
    crm = SalesforceApp(Instance(world / CRM), login, weather["salesforce"])
    billing = StripeApp(accounts, weather["stripe"], now=now)
    tax_login = TaxLogin(keys.avatax_account, keys.avatax_license)
    tax = AvalaraApp(Instance(world / TAX), tax_login, weather["avalara"])
    apps: dict[str, App] = {"salesforce": crm, "stripe": billing, "avalara": tax}
    with ExitStack() as stack:
        urls = {}
        for name, app in apps.items():
            server = LoopbackServer(app, log=log)
            server.start()
            stack.callback(server.stop)
            urls[name] = server.base_url
        yield Running(urls, apps, crm, billing, tax)
