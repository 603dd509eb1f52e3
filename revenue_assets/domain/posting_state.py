"""States of one posting batch (one ERP document) on its way into the ERP. Pure.

    awaiting_approval -> planned -> sent -> accepted -> created -> posted -> verified
                            ^        |                                |
                            |        v                                v
                            +--- uncertain ------------------------> dead

`sent` is the committed intent: written before the request leaves, so that a crash leaves a row that says "may be
there". `uncertain` is "we do not know": the row waits out the ERP's settle time, is looked up, and only then goes on.
`verified` is the only success. `dead` has a class, an owner and a next step; a replay takes it back to `planned`
(nothing of it is in the ERP) or to `uncertain` (something may be, so look first).
"""

from __future__ import annotations

AWAITING_APPROVAL = "awaiting_approval"
PLANNED = "planned"
SENT = "sent"
UNCERTAIN = "uncertain"
ACCEPTED = "accepted"
CREATED = "created"
POSTED = "posted"
VERIFIED = "verified"
DEAD = "dead"

# From -> where it may go. A transition that is not here cannot be written: the store's SQL takes its pairs from here.
TRANSITIONS: dict[str, frozenset[str]] = {
    AWAITING_APPROVAL: frozenset({PLANNED, DEAD}),
    PLANNED: frozenset({SENT, DEAD}),
    # The ERP answered: known refusals that left nothing behind (auth, throttled) go back to planned.
    SENT: frozenset({PLANNED, UNCERTAIN, ACCEPTED, CREATED, POSTED, DEAD}),
    UNCERTAIN: frozenset({UNCERTAIN, SENT, ACCEPTED, CREATED, POSTED, DEAD}),
    ACCEPTED: frozenset({ACCEPTED, UNCERTAIN, CREATED, POSTED, DEAD}),
    CREATED: frozenset({CREATED, SENT, UNCERTAIN, POSTED, DEAD}),
    POSTED: frozenset({POSTED, VERIFIED, DEAD}),
    VERIFIED: frozenset(),
    DEAD: frozenset({PLANNED, UNCERTAIN}),
}
STATES = tuple(TRANSITIONS)
# In one of these the ERP may already hold the document; leaving them without a look-up could post twice.
MAYBE_IN_ERP = frozenset({SENT, UNCERTAIN, ACCEPTED, CREATED, POSTED})
UNFINISHED = frozenset(STATES) - {VERIFIED, DEAD}
# What the worker may take up; awaiting_approval waits for a person.
WORKABLE = UNFINISHED - {AWAITING_APPROVAL}


class IllegalTransition(ValueError):
    """A transition that the state machine does not have."""


def check(old: str, new: str) -> None:
    """Raises IllegalTransition unless `old -> new` is in TRANSITIONS."""
    if new not in TRANSITIONS.get(old, frozenset()):
        raise IllegalTransition(f"a batch cannot go from {old!r} to {new!r}.")
