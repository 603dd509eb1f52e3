"""Stripe's read endpoints over one account's records: lists, retrieval, sub-lists, meter summaries."""

from __future__ import annotations

import hashlib
from typing import Any

from demo.simulators import stripe_params as params
from demo.simulators.server import Response, dumps
from demo.simulators.stripe_account import Account
from demo.simulators.stripe_expand import Expander
from demo.simulators.stripe_params import Refused, missing, no_such, unknown
from demo.simulators.stripe_resources import BY_FILE, Filter, Resource, rows_of
from demo.simulators.tables import Record, Table, page_of

DAY = 86_400
_PAGING = {"limit", "starting_after", "ending_before", "expand"}


def list_of(account: Account, resource: Resource, given: dict[str, Any]) -> Response:
    table = account.table(resource)
    expand = _expansions(given)
    limit = params.page_limit(given.get("limit"))
    after, before = _cursors(table, resource, given)
    positions = _matching(account, resource, table, given)
    page, has_more = page_of(positions, after, before, limit)
    return _page_response(account, table, page, has_more, f"/v1/{resource.path}", expand)


def _page_response(
    account: Account, table: Table, page: list[int], has_more: bool, url: str, expand: list[list[str]]
) -> Response:
    if expand:
        body: Record = {"object": "list", "data": [table.shown(position) for position in page]}
        body |= {"has_more": has_more, "url": url}
        for steps in expand:
            Expander(account).expand(body, steps)
        return Response(200, dumps(body))
    rows = ",".join([table.texts[position] for position in page])
    more = "true" if has_more else "false"
    return Response(200, f'{{"object":"list","data":[{rows}],"has_more":{more},"url":{dumps(url)}}}')


def retrieve(account: Account, resource: Resource, record_id: str, given: dict[str, Any]) -> Response:
    if extra := set(given) - {"expand"}:
        raise unknown(sorted(extra)[0])
    table = account.table(resource)
    position = table.position(record_id)
    if position is None or (resource.file == "event" and table.order[position] < account.events_since):
        raise no_such(resource.noun, record_id)
    expand = _expansions(given)
    if not expand:
        return Response(200, table.texts[position])
    record = table.shown(position)
    for steps in expand:
        Expander(account).expand(record, steps)
    return Response(200, dumps(record))


def _expansions(given: dict[str, Any]) -> list[list[str]]:
    return [Expander.steps(path) for path in params.strings(given.get("expand", []), "expand")]


def _cursors(table: Table, resource: Resource, given: dict[str, Any]) -> tuple[int | None, int | None]:
    after, before = given.get("starting_after"), given.get("ending_before")
    if after is not None and before is not None:
        raise Refused(400, "You may only specify one of these parameters: starting_after, ending_before.")
    found: list[int | None] = []
    for param, value in (("starting_after", after), ("ending_before", before)):
        position = None
        if value is not None:
            position = table.position(params.text(value, param))
            if position is None:
                raise no_such(resource.noun, value, param)
        found.append(position)
    return found[0], found[1]


def _matching(account: Account, resource: Resource, table: Table, given: dict[str, Any]) -> list[int] | range:
    """Ascending positions of the records that pass every filter of the request."""
    wanted = _flat_filters(resource, given)
    low, high = (None, None)
    if "created" in given:
        if not resource.created_filter:
            raise unknown("created")
        low, high = params.time_range(given["created"], "created")
    if resource.file == "event":
        low = account.events_since if low is None else max(low, account.events_since)
    window = table.order_window(low, high)
    sets: list[set[int]] = []
    for name, value in wanted.items():
        sets.append(_positions(account, resource, table, name, resource.filters[name], value))
    if resource.file == "subscription" and "status" not in wanted:
        sets.append(set(range(len(table))) - set(table.where("status", "canceled")))
    if not sets:
        return window
    smallest = min(sets, key=len)
    return sorted(p for p in smallest if p in window and all(p in other for other in sets))


def _flat_filters(resource: Resource, given: dict[str, Any]) -> dict[str, Any]:
    """The request's filters by their bracketed names; anything the endpoint does not know is refused."""
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if name in _PAGING or name == "created":
            continue
        if name in resource.filters:
            flat[name] = value
        elif isinstance(value, dict):
            flat |= {f"{name}[{inner}]": item for inner, item in value.items()}
        else:
            raise unknown(name)
    for name in flat:
        if name not in resource.filters:
            raise unknown(name)
    return flat


def _positions(account: Account, resource: Resource, table: Table, name: str, rule: Filter, value: Any) -> set[int]:
    if rule.kind == "range":
        low, high = params.time_range(value, name)
        return {p for p, at in enumerate(table.column(rule.path)) if _in_range(at, low, high)}
    if rule.kind == "bool":
        flag = params.boolean(value, name)
        if resource.file == "event":  # every event of the demo was delivered
            return set(range(len(table))) if flag else set()
        if resource.file == "subscription_schedule":  # scheduled = has not started
            started = set(range(len(table))) - set(table.where("status", "not_started"))
            return set(range(len(table))) - started if flag else started
        return set(table.where(rule.path, flag))
    if rule.kind == "any":
        return {p for item in params.strings(value, name) for p in _type_positions(table, rule.path, item)}
    wanted = params.text(value, name)
    if rule.choices and wanted not in rule.choices:
        raise Refused(400, f"Invalid {name}: must be one of {', '.join(rule.choices)}", param=name)
    if rule.refers and account.table(BY_FILE[rule.refers]).position(wanted) is None:
        raise no_such(BY_FILE[rule.refers].noun, wanted, name)
    if resource.file == "subscription" and name == "status" and wanted in ("all", "ended"):
        ended = set(table.where("status", "canceled")) | set(table.where("status", "incomplete_expired"))
        return ended if wanted == "ended" else set(range(len(table)))
    if resource.file == "balance_transaction" and name == "payout":
        return _payout_members(account, table, wanted)
    return set(_type_positions(table, rule.path, wanted))


def _type_positions(table: Table, path: str, wanted: str) -> list[int]:
    """Equality; an event type may end in `.*` for a whole family."""
    if path == "type" and wanted.endswith(".*"):
        prefix = wanted[:-1]
        return [p for p, kind in enumerate(table.column(path)) if str(kind).startswith(prefix)]
    return table.where(path, wanted)


def _in_range(at: Any, low: int | None, high: int | None) -> bool:
    if isinstance(at, list):
        return any(_in_range(item, low, high) for item in at)
    return isinstance(at, int) and (low is None or at >= low) and (high is None or at < high)


def _payout_members(account: Account, table: Table, payout: str) -> set[int]:
    """What an automatic payout paid out, and, as with the vendor, the payout's own transaction among it."""
    members = set(table.where("payout", payout))
    members |= {p for p in map(table.position, account.payout_members.get(payout, [])) if p is not None}
    kinds = table.column("type")
    return members | {p for p in table.where("source", payout) if kinds[p] == "payout"}


def subscription_items(account: Account, given: dict[str, Any]) -> Response:
    if "subscription" not in given:
        raise missing("subscription")
    if extra := set(given) - {"subscription"} - _PAGING:
        raise unknown(sorted(extra)[0])
    table = account.table(BY_FILE["subscription"])
    position = table.position(params.text(given["subscription"], "subscription"))
    if position is None:
        raise no_such("subscription", given["subscription"], "subscription")
    return _sub_list(account, rows_of(table.shown(position), "items"), "/v1/subscription_items", given)


def lines(account: Account, resource: Resource, record_id: str, given: dict[str, Any]) -> Response:
    table = account.table(resource)
    position = table.position(record_id)
    if position is None:
        raise no_such(resource.noun, record_id)
    if extra := set(given) - _PAGING:
        raise unknown(sorted(extra)[0])
    return _sub_list(account, rows_of(table.full(position), "lines"), f"/v1/{resource.path}/{record_id}/lines", given)


def _sub_list(account: Account, rows: list[Record], url: str, given: dict[str, Any]) -> Response:
    """One page of rows that live inside another record."""
    ids = {row["id"]: place for place, row in enumerate(rows)}
    anchors: list[int | None] = []
    for param in ("starting_after", "ending_before"):
        value = given.get(param)
        if value is not None and value not in ids:
            raise no_such("line item", str(value), param)
        anchors.append(None if value is None else ids[value])
    page, has_more = page_of(range(len(rows)), anchors[0], anchors[1], params.page_limit(given.get("limit")))
    body: Record = {"object": "list", "data": [rows[place] for place in page], "has_more": has_more, "url": url}
    for steps in _expansions(given):
        Expander(account).expand(body, steps)
    return Response(200, dumps(body))


def event_summaries(account: Account, meter_id: str, given: dict[str, Any]) -> Response:
    """Usage of one customer per UTC day, or one sum over the whole range when no window is asked for."""
    if account.table(BY_FILE["meter"]).position(meter_id) is None:
        raise no_such("billing meter", meter_id)
    for param in ("customer", "start_time", "end_time"):
        if param not in given:
            raise missing(param)
    if extra := set(given) - {"customer", "start_time", "end_time", "value_grouping_window"} - _PAGING:
        raise unknown(sorted(extra)[0])
    customer = params.text(given["customer"], "customer")
    if account.table(BY_FILE["customer"]).position(customer) is None:
        raise no_such("customer", customer, "customer")
    start, end = params.integer(given["start_time"], "start_time"), params.integer(given["end_time"], "end_time")
    window = given.get("value_grouping_window")
    if window not in (None, "day"):
        raise Refused(
            400, "Invalid value_grouping_window: this account keeps usage by day", param="value_grouping_window"
        )
    step = DAY if window == "day" else 60
    for param, at in (("start_time", start), ("end_time", end)):
        if at % step:
            edge = "UTC day" if window == "day" else "minute"
            raise Refused(400, f"{param} must be aligned with {edge} boundaries.", param=param)
    if end <= start:
        raise Refused(400, "end_time must be after start_time.", param="end_time")
    table = account.instance.table("meter_event_summary", order_by="start_time", prepare=_without_customer)
    in_time = table.order_window(start, end)
    meters = table.column("meter")
    found = [p for p in table.where("customer", customer) if p in in_time and meters[p] == meter_id]
    url = f"/v1/billing/meters/{meter_id}/event_summaries"
    if window is None:
        return _one_summary(table, found, meter_id, customer, start, end, url)
    anchors: list[int | None] = []
    for name in ("starting_after", "ending_before"):
        anchors.append(table.position(str(given[name])) if name in given else None)
        if name in given and anchors[-1] is None:
            raise no_such("meter event summary", str(given[name]), name)
    page, has_more = page_of(found, anchors[0], anchors[1], params.page_limit(given.get("limit")))
    return _page_response(account, table, page, has_more, url, _expansions(given))


def _without_customer(record: Record) -> Record:
    """The world's file says whose usage it is; the vendor's object does not."""
    return {key: value for key, value in record.items() if key != "customer"}


def _one_summary(
    table: Table, found: list[int], meter_id: str, customer: str, start: int, end: int, url: str
) -> Response:
    total = sum(table.shown(position)["aggregated_value"] for position in found)
    identity = hashlib.sha256(f"{meter_id}:{customer}:{start}:{end}".encode()).hexdigest()[:24]
    summary = {
        "id": f"mtrusg_{identity}",
        "object": "billing.meter_event_summary",
        "aggregated_value": total,
        "end_time": end,
        "livemode": False,
        "meter": meter_id,
        "start_time": start,
    }
    return Response(200, dumps({"object": "list", "data": [summary] if found else [], "has_more": False, "url": url}))
