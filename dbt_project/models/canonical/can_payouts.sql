-- One row per payout event: paid or failed.
with payouts as (
    {{ events_of(['payout.paid', 'payout.failed'], {
        'payout_id': 'VARCHAR', 'account': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'arrival_date': 'DATE', 'destination': 'VARCHAR', 'reference': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    event_type,
    d.payout_id,
    coalesce(d.account, 'default') as account,
    d.amount,
    d.currency,
    d.arrival_date,
    d.destination,
    coalesce(d.reference, d.payout_id) as reference
from payouts
