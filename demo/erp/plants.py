"""What people do to an ERP: journals by hand through its API, and a posted journal altered in its database.

The instructions come with the pretend company (`erp_plants.json`, see `demo.world.plants_erp`). Each is carried out
once per home however often this runs and wherever it is killed: a manual journal is looked for before it is made, an
altered line is set to the amount that was posted plus the difference, not increased.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import select

from demo.erp import server
from demo.erp.setup import SUNDRY
from demo.world import truth
from revenue_assets.domain.config import Company, load_company
from revenue_assets.settings import Settings
from revenue_assets.sources.tryton_rpc import TrytonRpc
from revenue_assets.state import accounts_of
from revenue_assets.store.engine import Store, open_store
from revenue_assets.store.tables import posting_batch_lines, posting_batches

# A person's journal and an account that no role of the platform knows.
MANUAL_JOURNAL = "MISC"
OUTSIDE_ACCOUNT = ("9900", "Reclassifications by hand", "Assets")
# Which batch an alteration chose, by plant: written before it, so that a repeated run does not choose another.
CHOSEN_FILE = "altered.json"
_MINOR_DIGITS = 2  # USD, GBP and EUR, the companies' own currencies


class PlantError(RuntimeError):
    """An instruction that cannot be carried out; the message is a sentence."""


@dataclass(frozen=True)
class Planted:
    """One instruction carried out: `reference` is the move's number, or the key of the altered batch."""

    plant_id: str
    kind: str
    reference: str


def plant(home: Path) -> list[Planted]:
    """Carries out the home's instructions in its running ERP and notes their references in the ground truth.

    Call it when posting has verified its batches. Raises PlantError if the ERP does not run or a batch to alter is
    not there.
    """
    erp = server.current(home)
    if erp is None:
        raise PlantError(f"The ERP of {home} does not run.")
    world = home / "demo" / "world"
    settings = Settings.load()
    company = load_company(settings.config)
    store = open_store(settings.store_url)
    try:
        with TrytonRpc(erp.base_url, erp.database, erp.admin_user, erp.admin_password) as person:
            done = [
                _manual(person, company, instruction)
                if instruction["kind"] == "manual_erp_journal"
                else _altered(erp, store, home / "demo" / "erp" / CHOSEN_FILE, instruction)
                for instruction in truth.load_erp_plants(world)
            ]
    finally:
        store.close()
    for instruction, planted in zip(truth.load_erp_plants(world), done, strict=True):
        truth.add_signals(world, planted.plant_id, truth.expected_signals(instruction, planted.reference))
    return done


def _manual(person: TrytonRpc, company: Company, instruction: dict[str, Any]) -> Planted:
    """A person's journal, found again by its words, company and month."""
    erp_company = company.entity(instruction["entity"]).erp_company
    (row,) = person.search_read("company.company", [["party.name", "=", erp_company]], ["id"], {})
    context = {"company": row["id"]}
    date = dt.date.fromisoformat(instruction["date"])
    (period,) = person.search_read(
        "account.period",
        [["company", "=", row["id"]], ["start_date", "<=", date], ["end_date", ">=", date], ["type", "=", "standard"]],
        ["name"],
        context,
    )
    same = [
        ["company", "=", row["id"]],
        ["period", "=", period["id"]],
        ["description", "=", instruction["description"]],
    ]
    found = person.search_read("account.move", same, ["state"], context)
    if found:
        move = found[0]["id"]
    else:
        (journal,) = person.search_read("account.journal", [["code", "=", MANUAL_JOURNAL]], ["id"], {})
        lines = [_manual_line(person, company, row["id"], instruction, line) for line in instruction["lines"]]
        (move,) = person.call(
            "model.account.move.create",
            [
                {
                    "company": row["id"],
                    "journal": journal["id"],
                    "period": period["id"],
                    "date": date,
                    "description": instruction["description"],
                    "lines": [["create", lines]],
                }
            ],
            context,
        )
    if not found or found[0]["state"] == "draft":
        person.call("model.account.move.post", [move], context)
    (posted,) = person.search_read("account.move", [["id", "=", move]], ["number"], context)
    return Planted(instruction["id"], instruction["kind"], posted["number"])


def _manual_line(
    person: TrytonRpc, company: Company, erp_company: int, instruction: dict[str, Any], line: dict[str, Any]
) -> dict[str, Any]:
    if line["account_role"] == "outside":
        account = _outside_account(person, erp_company)
    else:
        code = _code(company, instruction["entity"], line["account_role"], line["product_family"])
        account = _account(person, erp_company, code)
    return {
        "account": account,
        "party": _customer(person, erp_company, account),
        "debit": _major(line["debit_minor"]),
        "credit": _major(line["credit_minor"]),
        "description": instruction["description"],
    }


def _customer(person: TrytonRpc, erp_company: int, account: int) -> int | None:
    """The customer that a person would name in a hurry, where the account asks for one."""
    (row,) = person.search_read("account.account", [["id", "=", account]], ["party_required"], {"company": erp_company})
    if not row["party_required"]:
        return None
    return int(person.search_read("party.party", [["identifiers.code", "=", SUNDRY]], ["id"], {})[0]["id"])


def _code(company: Company, entity: str, role: str, family: str | None) -> str:
    """The account of a role; one for the product family is more specific than one for all."""
    rows = [a for a in accounts_of(company, entity) if a.role == role and a.product_family in (family, None)]
    if not rows:
        raise PlantError(f"{entity} has no account for {role}.")
    return max(rows, key=lambda row: row.product_family is not None).code


def _account(person: TrytonRpc, company: int, code: str) -> int:
    rows = person.search_read(
        "account.account", [["company", "=", company], ["code", "=", code]], ["id"], {"company": company}
    )
    if not rows:
        raise PlantError(f"The ERP has no account {code}.")
    return int(rows[0]["id"])


def _outside_account(person: TrytonRpc, company: int) -> int:
    """People also open accounts that nobody told the platform about."""
    code, name, type_name = OUTSIDE_ACCOUNT
    domain = [["company", "=", company], ["code", "=", code]]
    if not person.search_read("account.account", domain, ["id"], {"company": company}):
        (kind,) = person.search_read(
            "account.account.type", [["company", "=", company], ["name", "=", type_name]], ["id"], {"company": company}
        )
        row = {"code": code, "name": name, "type": kind["id"], "company": company}
        person.call("model.account.account.create", [row], {"company": company})
    return _account(person, company, code)


def _altered(erp: server.Erp, store: Store, chosen_file: Path, instruction: dict[str, Any]) -> Planted:
    """Two lines of one verified batch's move get more, in the database, past every control of the ERP. What an invoice
    of its own opens stands there in one line."""
    chosen: dict[str, str] = json.loads(chosen_file.read_text()) if chosen_file.exists() else {}
    batch, debit, credit = _batch_to_alter(store, instruction, chosen.get(instruction["id"]))
    truth.write_json(chosen_file, chosen | {instruction["id"]: batch.batch_key})
    connection = psycopg2.connect(erp.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(_MOVE, {"key": batch.batch_key})
            moves = cursor.fetchall()
            if len(moves) != 1:
                raise PlantError(f"The ERP has {len(moves)} moves with key {batch.batch_key}.")
            for side, line, sent in (("debit", *debit), ("credit", *credit)):
                raised = sent + instruction["delta_minor"]
                cursor.execute(_LINE_TO_ALTER[side], (moves[0][0], line.account_code, _major(sent), _major(raised)))
                found = cursor.fetchone()
                if found is None:
                    raise PlantError(
                        f"Move {batch.batch_key} has no {side} line on {line.account_code} as it was sent."
                    )
                cursor.execute(_ALTER_LINE[side], (_major(raised), found[0]))
    finally:
        connection.close()
    return Planted(instruction["id"], instruction["kind"], batch.batch_key)


# The key stands on the journal, or on the invoice whose journal it is.
_MOVE = (
    "select id from account_move where description = %(key)s "
    "union select move from account_invoice where description = %(key)s and move is not null"
)
# The line as it was sent, or as an earlier, killed run of this left it.
_LINE_TO_ALTER = {
    side: (
        "select l.id from account_move_line l join account_account a on a.id = l.account "
        f"where l.move = %s and a.code = %s and l.{side} in (%s, %s) order by l.id limit 1"
    )
    for side in ("debit", "credit")
}
_ALTER_LINE = {side: f"update account_move_line set {side} = %s where id = %s" for side in ("debit", "credit")}


def _batch_to_alter(
    store: Store, instruction: dict[str, Any], chosen: str | None
) -> tuple[Any, tuple[Any, int], tuple[Any, int]]:
    """The first verified batch (by key) of the entity, month and event class that has both lines; or the one chosen.
    With the lines and their amounts as the ERP was sent them."""
    wanted = (
        select(posting_batches)
        .where(
            posting_batches.c.entity_id == instruction["entity"],
            posting_batches.c.period == instruction["month"],
            posting_batches.c.event_class == instruction["event_class"],
            posting_batches.c.status == "verified",
        )
        .order_by(posting_batches.c.batch_key)
    )
    if chosen is not None:
        wanted = wanted.where(posting_batches.c.batch_key == chosen)
    with store.read() as connection:
        for batch in connection.execute(wanted).all():
            lines = connection.execute(
                select(posting_batch_lines)
                .where(posting_batch_lines.c.batch_key == batch.batch_key)
                .order_by(posting_batch_lines.c.line_no)
            ).all()
            debit = _line(lines, instruction["debit_role"], "debit_fc")
            credit = _line(lines, instruction["credit_role"], "credit_fc")
            if debit is None or credit is None:
                continue
            sent = debit.debit_fc
            if json.loads(batch.document_json).get("kind") == "invoice":
                sent = sum(x.debit_fc - x.credit_fc for x in lines if x.account_role == debit.account_role)
            return batch, (debit, sent), (credit, credit.credit_fc)
    wish = f"{instruction['event_class']} batch of {instruction['entity']} {instruction['month']}"
    raise PlantError(f"There is no verified {wish} to alter.")


def _line(lines: Sequence[Any], role: str, side: str) -> Any:
    return next((line for line in lines if line.account_role == role and getattr(line, side) > 0), None)


def _major(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-_MINOR_DIGITS)
