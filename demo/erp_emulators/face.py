"""What every protocol face shares: faults turned into answers, a control address for other processes, and serving.

The control address is `POST /_control` with `{"do": <name>, ...}`; it is not part of any ERP and answers JSON. Loopback
only, like all simulators.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.erp_emulators.behaviour import behaviour
from demo.erp_emulators.core import Emulator, Refused, Trap
from demo.erp_emulators.ledger import Entry
from demo.simulators.server import LoopbackServer, Request, Response, dumps

CONTROL = "/_control"


class Face(ABC):
    """An `App` of the loopback server in front of one Emulator. A subclass speaks one ERP's protocol."""

    name = "erp"

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.root, self._clock = root, clock
        self._resets = 0
        self.erp = Emulator(root / "ledger-0.sqlite", clock=clock, rules=self.check)

    # What a face must say.

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """One request of the ERP's protocol."""

    @abstractmethod
    def refused(self, error: Refused) -> Response:
        """How this ERP words a refusal."""

    def check(self, entry: Entry) -> None:  # noqa: B027
        """Raises Refused for what this ERP refuses besides what all of them do; asked at the commit."""

    def start(self) -> None:  # noqa: B027 - most faces do nothing besides answering
        """Begins what it does besides answering; `stop` ends it."""

    def stop(self) -> None:  # noqa: B027
        """See `start`."""

    def settle(self) -> None:
        """What is under way ends now."""
        self.erp.settle()

    # What all have.

    def handle(self, request: Request) -> Response:
        if request.path == CONTROL:
            return Response(200, dumps(self.control(json.loads(request.body))))
        try:
            with self.erp.request():
                response = self.answer(request)
        except Refused as error:
            response = self.refused(error)
        response.after = self.erp.replied
        return response

    def crashed(self) -> Response:
        return self.refused(Refused("server_error", "The emulator has a bug; see its log."))

    def setup(self, companies: dict[str, str], accounts: Sequence[str], years: Sequence[int]) -> None:
        """Master data of the books; see Ledger.setup."""
        self.erp.ledger.setup(companies, accounts, years)

    def reset(self, how: str | dict[str, Any] = "ideal", seed: int = 0, setup: dict[str, Any] | None = None) -> None:
        """Empty books with this behaviour and seed."""
        self.erp.ledger.close()
        self._resets += 1
        path = self.root / f"ledger-{self._resets}.sqlite"
        path.unlink(missing_ok=True)
        self.erp = Emulator(path, behaviour(how), seed, self._clock, self.check)
        if setup is not None:
            self.setup(**setup)

    def control(self, order: dict[str, Any]) -> Any:
        """What a test in another process asks for."""
        erp, what = self.erp, order.pop("do")
        match what:
            case "reset":
                self.reset(**order)
            case "behave":
                erp.behaviour = behaviour(order["how"])
            case "trap":
                erp.trap = Trap(**order)
            case "disarm":
                erp.trap = None
            case "down":
                erp.down = order["down"]
            case "restart":
                erp.restart()
            case "settle":
                self.settle()
            case "period":
                erp.ledger.set_period(order["company"], order["name"], order["state"])
            case "copies":
                self.settle()
                return dict(erp.copies())
            case "calls":
                return dict(erp.calls)
            case _:
                raise ValueError(f"unknown order {what!r}")
        return {}


@contextmanager
def serving(face: Face, log: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Serves the face on a free loopback port inside this process; yields its base URL."""
    server = LoopbackServer(face, log=log)
    server.start()
    face.start()
    try:
        yield server.base_url
    finally:
        face.stop()
        server.stop()
