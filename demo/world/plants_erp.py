"""Instructions for journals to be planted in the ERP after posting; the ERP side of the demo carries them out.

Common fields: id, kind, entity, month (`YYYY-MM`), currency (functional), amount_minor, expect [[reconciliation,
class], ..]. A `manual_erp_journal` has date, description and lines [{account_role, product_family, debit_minor,
credit_minor}]; the role `outside` means any account that no role maps to; its reference is the move number. An
`altered_erp_journal` names a posted batch by entity, month and event_class, and adds delta_minor to one line of
debit_role and to one of credit_role; its reference is the batch key.
"""

from __future__ import annotations

from typing import Any

from demo.world.calendar import ENTITIES, month_of
from demo.world.model import Invoice
from demo.world.planting import Planter

_ORDER = ("manual_deferred", "altered_revenue", "manual_receivable", "altered_invoice", "manual_deferred")


def plant_erp(planter: Planter, invoices: list[Invoice]) -> list[dict[str, Any]]:
    """One instruction per (entity, month) at most, in months in which subscriptions were billed in advance.

    The months are such that both an invoice batch and a recognition batch exist to be altered.
    """
    places = sorted(
        {
            (i.entity, month_of(i.day))
            for i in invoices
            if i.reason.startswith("subscription") and i.lines[0].kind == "recurring" and i.status != "void"
        }
    )
    planter.rng.shuffle(places)
    return [_plant(planter, kind, entity, month) for kind, (entity, month) in zip(_ORDER, places, strict=False)]


def _plant(planter: Planter, kind: str, entity: str, month: str) -> dict[str, Any]:
    amount = (
        planter.rng.randrange(150_000, 900_000) if kind.startswith("manual") else planter.rng.randrange(2_500, 40_000)
    )
    currency = ENTITIES[entity].currency
    name = "manual_erp_journal" if kind.startswith("manual") else "altered_erp_journal"
    plant_id = planter.note(name, [], amount, currency, entity, month)
    common = {
        "id": plant_id,
        "kind": name,
        "entity": entity,
        "month": month,
        "currency": currency,
        "amount_minor": amount,
    }
    if kind == "manual_receivable":
        return common | {
            "date": f"{month}-20",
            "description": "Reclassification asked for by e-mail",
            "lines": [_line("outside", None, amount, 0), _line("accounts_receivable", None, 0, amount)],
            "expect": [["R10", "manual_erp_journal"]],
        }
    if kind == "manual_deferred":
        lines = [_line("deferred_revenue", "platform", amount, 0), _line("revenue", "platform", 0, amount)]
        return common | {
            "date": f"{month}-20",
            "description": "Manual revenue accrual",
            "lines": lines,
            "expect": [["R11", "manual_erp_journal"], ["R12", "manual_erp_journal"]],
        }
    if kind == "altered_revenue":
        return common | {
            "event_class": "revenue.recognised",
            "delta_minor": amount,
            "debit_role": "deferred_revenue",
            "credit_role": "revenue",
            "expect": [["R16", "amount"], ["R11", "amount"], ["R12", "amount"]],
        }
    return common | {
        "event_class": "invoice.posted",
        "delta_minor": amount,
        "debit_role": "accounts_receivable",
        "credit_role": "deferred_revenue",
        "expect": [["R16", "amount"], ["R4", "amount"], ["R10", "amount"], ["R11", "amount"]],
    }


def _line(role: str, family: str | None, debit: int, credit: int) -> dict[str, Any]:
    return {"account_role": role, "product_family": family, "debit_minor": debit, "credit_minor": credit}
