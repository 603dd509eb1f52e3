"""`expand[]`: ids replaced by the objects they name, and fields that are shown only when asked for."""

from __future__ import annotations

from typing import Any, Protocol

from demo.simulators.stripe_params import Refused
from demo.simulators.stripe_resources import BY_FILE, Resource, embedded, resource_of, rows_of
from demo.simulators.tables import Record, Table

LEVELS_MAX = 4
#: (object, field) pairs that are hidden by default.
HIDDEN = {("price", "tiers"), ("price", "currency_options"), ("invoice", "payments"), ("charge", "refunds")}


class Tables(Protocol):
    """What expansion needs of an account."""

    def table(self, resource: Resource) -> Table:
        """The table of a resource."""


class Expander:
    """Expands one response in place. Asking for what cannot be expanded is a 400, as with the vendor."""

    def __init__(self, account: Tables) -> None:
        self._account = account

    @staticmethod
    def steps(path: str) -> list[str]:
        """The steps of `data.customer`; more than four is refused (the list's own `data` counts)."""
        steps = path.split(".")
        if len(steps) > LEVELS_MAX:
            message = f"You cannot expand more than {LEVELS_MAX} levels of a property. Property: {path}"
            raise Refused(400, message, param="expand")
        return steps

    def expand(self, value: Any, steps: list[str], path: str = "") -> None:
        """Follow `steps` from `value`, a record, a list object or an array of either."""
        if not steps:
            return
        if isinstance(value, list):
            for item in value:
                self.expand(item, steps, path)
            return
        if not isinstance(value, dict):
            raise _cannot(path or steps[0])
        name, rest = steps[0], steps[1:]
        path = f"{path}.{name}" if path else name
        if (value.get("object"), name) in HIDDEN:
            value[name] = self._hidden(value, name)
        elif name not in value:
            raise _cannot(path)
        elif isinstance(value[name], str):
            value[name] = self._named(value[name], path)
        elif isinstance(value[name], list) and all(isinstance(item, str) for item in value[name]):
            value[name] = [self._named(item, path) for item in value[name]]
        elif value[name] is not None and not isinstance(value[name], (dict, list)):
            raise _cannot(path)
        if value[name] is not None:
            self.expand(value[name], rest, path)

    def _named(self, record_id: str, path: str) -> Record:
        resource = resource_of(record_id)
        table = None if resource is None else self._account.table(resource)
        position = None if table is None else table.position(record_id)
        if table is None or position is None:
            raise _cannot(path)
        return table.shown(position)

    def _hidden(self, record: Record, name: str) -> Any:
        """A field a list leaves out: from the file's full record, or from the objects that point here."""
        kind = record["object"]
        table = self._account.table(BY_FILE[kind])
        position = table.position(record["id"])
        full = record if position is None else table.full(position)
        if kind == "price":
            return full.get(name)
        if kind == "invoice":
            rows = rows_of(full, name) or self._pointing("invoice_payment", "invoice", record["id"])
            return embedded(rows, f"/v1/invoice_payments?invoice={record['id']}")
        rows = rows_of(full, name) or self._pointing("refund", "charge", record["id"])
        return embedded(rows, f"/v1/charges/{record['id']}/refunds")

    def _pointing(self, file: str, field: str, record_id: str) -> list[Record]:
        table = self._account.table(BY_FILE[file])
        return [table.shown(position) for position in table.where(field, record_id)]


def _cannot(path: str) -> Refused:
    return Refused(400, f"This property cannot be expanded ({path}).", param="expand")
