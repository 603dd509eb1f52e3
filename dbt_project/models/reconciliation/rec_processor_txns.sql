-- One row per entity and processor transaction: the processor's report where it has the line, else our own document's.
{{ config(tags=['before_posting']) }}

with reported as (
    select
        entity_id,
        bt_id,
        bt_currency as currency,
        bt_gross as gross,
        bt_fee as fee,
        bt_net as net,
        coalesce(object_id, bt_id) as object_id,
        bt_type as type,
        accounting_date,
        true as is_reported
    from {{ ref('can_balance_txns_reported') }}
    qualify row_number() over (partition by entity_id, bt_id order by accounting_date, time, event_id) = 1
),

own as (
    select
        entity_id,
        bt_id,
        bt_currency as currency,
        bt_gross as gross,
        bt_fee as fee,
        bt_net as net,
        payment_id as object_id,
        'charge' as type,
        accounting_date
    from {{ ref('can_payments') }}
    where bt_id is not null
    union all
    select
        entity_id,
        bt_id,
        bt_currency as currency,
        bt_gross as gross,
        bt_fee as fee,
        bt_net as net,
        refund_id as object_id,
        'refund' as type,
        accounting_date
    from {{ ref('can_refunds') }}
    where bt_id is not null
    union all
    select
        entity_id,
        bt_id,
        bt_currency as currency,
        bt_gross as gross,
        bt_fee as fee,
        bt_net as net,
        dispute_id as object_id,
        'dispute' as type,
        accounting_date
    from {{ ref('can_dispute_txns') }}
    where bt_id is not null
),

-- One transaction may be used by one document only; the first keeps it.
own_first as (
    select * from own
    qualify row_number() over (partition by entity_id, bt_id order by accounting_date, object_id) = 1
)

select
    coalesce(r.entity_id, o.entity_id) as entity_id,
    coalesce(r.bt_id, o.bt_id) as bt_id,
    coalesce(r.currency, o.currency) as currency,
    cast(coalesce(r.gross, o.gross) as bigint) as gross,
    cast(coalesce(r.fee, o.fee, 0) as bigint) as fee,
    cast(coalesce(r.net, o.net) as bigint) as net,
    coalesce(r.type, o.type) as type,
    coalesce(o.object_id, r.object_id) as object_id,
    coalesce(r.accounting_date, o.accounting_date) as accounting_date,
    r.bt_id is not null as is_reported,
    o.bt_id is not null as is_ours
from reported as r
full outer join own_first as o on r.entity_id = o.entity_id and r.bt_id = o.bt_id
