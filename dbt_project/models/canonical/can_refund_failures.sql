-- One row per failed refund: the exact inverse of its issue, on its own date.
with failed as (
    {{ events_of(['refund.failed'], {'refund_id': 'VARCHAR'}) }}
)

select {{ envelope() }}, d.refund_id from failed
