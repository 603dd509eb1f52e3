-- One row per failed payment attempt (no entry follows).
with failed as (
    {{ events_of(['payment.failed'], {
        'payment_id': 'VARCHAR', 'invoice_id': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'failure_code': 'VARCHAR',
    }) }}
)

select {{ envelope() }}, d.payment_id, d.invoice_id, d.amount, d.currency, d.failure_code from failed
