"""States of one version of a revenue schedule on its way into the ERP. Pure.

    planned -> sent -> taken -> verified
       ^        |
       |        v
       +--- uncertain          dead, superseded

As for batches (`posting_state`), `sent` is the committed intent and `uncertain` is "we do not know": it settles, and
what the ERP holds then decides. `taken`: the ERP said yes, nobody has looked yet. `verified` is the only success.
What batches do not have is `superseded`: a schedule has one truth at a time, and a version that a newer one has
overtaken is never sent (again).
"""

from __future__ import annotations

from revenue_assets.domain.posting_state import DEAD, PLANNED, SENT, UNCERTAIN, VERIFIED, IllegalTransition

TAKEN = "taken"
SUPERSEDED = "superseded"

# From -> where it may go. A transition that is not here cannot be written.
TRANSITIONS: dict[str, frozenset[str]] = {
    PLANNED: frozenset({SENT, DEAD, SUPERSEDED}),
    SENT: frozenset({PLANNED, UNCERTAIN, TAKEN, DEAD}),
    UNCERTAIN: frozenset({UNCERTAIN, PLANNED, TAKEN, DEAD, SUPERSEDED}),
    TAKEN: frozenset({TAKEN, VERIFIED, DEAD, SUPERSEDED}),
    VERIFIED: frozenset(),
    DEAD: frozenset({PLANNED, UNCERTAIN, SUPERSEDED}),
    SUPERSEDED: frozenset(),
}
STATES = tuple(TRANSITIONS)
# The ERP may hold it, or get it any moment: a newer version has to wait for what becomes of it.
IN_FLIGHT = frozenset({SENT, UNCERTAIN, TAKEN})
WORKABLE = frozenset({PLANNED}) | IN_FLIGHT
FINAL = frozenset({VERIFIED, SUPERSEDED})


def check(old: str, new: str) -> None:
    """Raises IllegalTransition unless `old -> new` is in TRANSITIONS."""
    if new not in TRANSITIONS.get(old, frozenset()):
        raise IllegalTransition(f"a schedule update cannot go from {old!r} to {new!r}.")
