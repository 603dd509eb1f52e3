-- One row per event with a processor or bank settlement: amounts in settlement currency and the functional value.
with moved as (
    select
        event_key, entity_id, accounting_date, amount, currency,
        coalesce(bt_currency, settled_currency, currency) as settled_currency,
        coalesce(bt_gross, settled_amount, coalesce(application_fee_amount, amount)) as gross,
        bt_fee as fee,
        bt_rate_e12
    from {{ ref('can_payments') }}
    union all
    select
        event_key, entity_id, accounting_date, amount, currency,
        coalesce(bt_currency, currency) as settled_currency,
        coalesce(-bt_gross, amount) as gross,
        bt_fee as fee,
        bt_rate_e12
    from {{ ref('can_refunds') }}
),

entities as (
    select entity_id, functional_currency from {{ state('entities') }}
),

valued as (
    select
        moved.*,
        entities.functional_currency,
        coalesce(processor_rates.num, settled.num) as settled_num,
        coalesce(processor_rates.den, settled.den) as settled_den
    from moved
    inner join entities on moved.entity_id = entities.entity_id
    left join {{ ref('processor_rates') }} as processor_rates on moved.event_key = processor_rates.event_key
    left join {{ ref('spot_rates') }} as settled
        on moved.entity_id = settled.entity_id
        and moved.settled_currency = settled.currency
        and moved.accounting_date = settled.rate_date
)

select
    event_key,
    entity_id,
    currency,
    settled_currency,
    functional_currency,
    gross,
    fee,
    gross - fee as net,
    case
        when settled_currency = functional_currency then gross
        else {{ half_up('gross * settled_num', 'settled_den') }}
    end as gross_fc,
    case
        when settled_currency = functional_currency then fee
        else {{ half_up('fee * settled_num', 'settled_den') }}
    end as fee_fc
from valued
