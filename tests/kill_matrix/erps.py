"""The ERPs of the kill matrix: each an emulator in a process of its own, and how a poster reaches it.

Adapters are imported here, before posters are forked: a thousand posters need not import them a thousand times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.erp_emulators.ledger import EXPONENTS
from demo.erp_emulators.netsuite_login import Integration
from demo.erp_emulators.rest import TOKEN
from revenue_assets.domain.config_erp import NetSuiteOptions
from revenue_assets.domain.config_erp_generic import DropOptions, GenericOptions
from revenue_assets.posting.erp.generic_csv import GenericCsvErp
from revenue_assets.posting.erp.generic_rest import GenericRestErp
from revenue_assets.posting.erp.netsuite import NetSuiteErp
from revenue_assets.posting.erp.port import ErpPort
from revenue_assets.sources.netsuite_auth import Certificate

COMPANIES = {"US Inc": "USD", "UK Inc": "GBP", "DE Inc": "EUR"}
ACCOUNTS = ("1000", "1100", "1999", "2100", "2200", "4000", "4010")
SETUP = {"companies": COMPANIES, "accounts": ACCOUNTS, "years": [2026]}


@dataclass(frozen=True)
class Server:
    """A running emulator. `order` turns its faults and asks for its books."""

    root: Path
    url: str

    def order(self, do: str, **what: Any) -> Any:
        """One order of `demo.erp_emulators.face`; plain urllib keeps no thread and no connection in this process."""
        body = json.dumps({"do": do, **what}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_control", body), timeout=60) as answer:
            return json.loads(answer.read())


@dataclass(frozen=True)
class Protocol:
    """`face`: the emulator's name. `port`: made inside the poster's process, from the server and the settle time.
    `details`: it posts invoices, credit notes and payments, with the customers and items that they need."""

    face: str
    port: Callable[[Server, float], ErpPort]
    details: bool = False


def _rest(server: Server, settle: float, **how: Any) -> ErpPort:
    options = GenericOptions(settle_seconds=settle, batch_size_max=2, **how)
    return GenericRestErp(server.url, {"token": TOKEN}, options, EXPONENTS)


def _drop(server: Server, settle: float) -> ErpPort:
    return GenericCsvErp(server.root / "drop", DropOptions(settle_seconds=settle, batch_size_max=2), EXPONENTS)


def _netsuite(server: Server, settle: float, mode: str = "sync", **more: Any) -> ErpPort:
    known = Integration(server.root).credentials
    certificate = Certificate(known["client_id"], known["certificate_id"], known["private_key"], "ES256")
    options = NetSuiteOptions.model_validate({"account": "TSTDRV1", "algorithm": "ES256", "mode": mode, **more})
    # The configuration knows whole seconds; the emulated index lags by tenths.
    return NetSuiteErp(server.url, certificate, options.model_copy(update={"settle_seconds": settle}), EXPONENTS)


DETAILS: Mapping[str, Any] = {
    "kinds": ["journal", "invoice", "credit_note", "cash_application"], "masters": ["customer", "item"],
}  # fmt: skip
PROTOCOLS: Mapping[str, Protocol] = {
    "generic_rest": Protocol("rest", _rest),
    "generic_rest_jobs": Protocol("rest_jobs", lambda server, settle: _rest(server, settle, mode="async")),
    "generic_rest_details": Protocol("rest", lambda server, settle: _rest(server, settle, **DETAILS), details=True),
    "generic_csv": Protocol("drop", _drop),
    "netsuite": Protocol("netsuite", _netsuite),
    "netsuite_jobs": Protocol("netsuite", lambda server, settle: _netsuite(server, settle, "async")),
    "netsuite_details": Protocol(
        "netsuite", lambda server, settle: _netsuite(server, settle, details={}), details=True
    ),
    "netsuite_details_jobs": Protocol(
        "netsuite", lambda server, settle: _netsuite(server, settle, "async", details={}), details=True
    ),
}


@contextmanager
def running(face: str, root: Path) -> Iterator[Server]:
    """The emulator as a process; it ends with this one, however that ends."""
    root.mkdir(parents=True)
    ports = root / "port.json"
    command = [
        sys.executable,
        "-m",
        "demo.erp_emulators",
        "--face",
        face,
        "--root",
        str(root),
        "--port-file",
        str(ports),
    ]
    with open(root / "emulator.log", "ab") as log:
        process = subprocess.Popen([*command, "--parent", str(os.getpid())], stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not ports.is_file():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the {face} emulator did not start:\n{(root / 'emulator.log').read_text()}")
            time.sleep(0.02)
        yield Server(root, json.loads(ports.read_text())["url"])
    finally:
        process.terminate()
        process.wait(20)
