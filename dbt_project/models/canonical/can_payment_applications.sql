-- One row per application of a payment to an invoice, stated with the payment or afterwards (payment.applied).
with stated as (
    {{ events_of(['payment.settled', 'payment.applied'], {
        'payment_id': 'VARCHAR',
        'applications': [{'invoice_id': 'VARCHAR', 'amount': 'BIGINT', 'entityid': 'VARCHAR'}],
    }) }}
),

numbered as (
    select stated.*, unnest(d.applications) as x, unnest(range(1, len(d.applications) + 1)) as application_no from stated
)

select
    {{ envelope() }},
    event_type,
    d.payment_id,
    cast(application_no as integer) as application_no,
    x.invoice_id,
    coalesce(x.entityid, entity_id) as invoice_entity_id,
    x.amount
from numbered
