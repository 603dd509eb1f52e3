-- One row per advance payment used by an invoice, with what was used of it up to and including this invoice.
with posted_invoices as (
    {{ events_of(['invoice.posted'], '{"invoice_id":"VARCHAR","currency":"VARCHAR","advances":[{"payment_id":"VARCHAR","amount":"BIGINT"}]}') }}
),

uses as (
    select {{ envelope() }}, d.invoice_id, d.currency, unnest(d.advances) as x
    from posted_invoices
    where len(d.advances) > 0
)

select
    event_key,
    entity_id,
    invoice_id,
    currency,
    x.payment_id,
    x.amount,
    cast(sum(x.amount) over (
        partition by entity_id, x.payment_id order by accounting_date, time, sequence, event_id
        rows between unbounded preceding and current row
    ) as bigint) as used_to_date
from uses
