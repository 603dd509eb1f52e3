-- One row per voiding or write-off (uncollectible) of an invoice.
with ended as (
    {{ events_of(['invoice.voided', 'invoice.uncollectible'], {'invoice_id': 'VARCHAR', 'reason': 'VARCHAR'}) }}
)

select {{ envelope() }}, event_type, d.invoice_id, d.reason from ended
