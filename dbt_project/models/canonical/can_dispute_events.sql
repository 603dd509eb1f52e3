-- One row per step of a dispute: opened, funds_withdrawn, funds_reinstated, closed.
with steps as (
    {{ events_of(['dispute.opened', 'dispute.funds_withdrawn', 'dispute.funds_reinstated', 'dispute.closed'], {
        'dispute_id': 'VARCHAR', 'payment_id': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'reason': 'VARCHAR', 'outcome': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    event_type,
    d.dispute_id,
    d.payment_id,
    d.amount,
    d.currency,
    d.reason,
    d.outcome
from steps
