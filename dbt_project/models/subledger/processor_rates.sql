-- One row per balance transaction that settles a sale in functional currency in a foreign one, where the policy trusts the
-- processor (fx_rate_source): functional minor units = settled x num / den. Its rate is published from sale to settlement,
-- so it is divided by.
{{ config(materialized='ephemeral') }}
with moved as (
    select event_key, 0 as txn_no, entity_id, currency, bt_currency, bt_rate_e12 from {{ ref('can_payments') }}
    union all
    select event_key, 0 as txn_no, entity_id, currency, bt_currency, bt_rate_e12 from {{ ref('can_refunds') }}
    union all
    select txns.event_key, txns.txn_no, txns.entity_id, steps.currency, txns.bt_currency, txns.bt_rate_e12
    from {{ ref('can_dispute_txns') }} as txns
    inner join {{ ref('can_dispute_events') }} as steps on txns.event_key = steps.event_key
)

select
    moved.event_key,
    moved.txn_no,
    cast(1000000000000 as hugeint) * {{ pow10('sold.exponent') }} as num,
    moved.bt_rate_e12 * {{ pow10('settled.exponent') }} as den
from moved
inner join {{ ref('line_policies') }} as policies
    on moved.entity_id = policies.entity_id and policies.product_family = 'default' and moved.currency = policies.currency
inner join {{ state('currencies') }} as sold on moved.currency = sold.currency
inner join {{ state('currencies') }} as settled on moved.bt_currency = settled.currency
where
    moved.currency = policies.functional_currency and moved.bt_currency <> policies.functional_currency
    and moved.bt_rate_e12 > 0 and policies.fx_rate_source = 'processor'
