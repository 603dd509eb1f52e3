-- One row per rated usage record and rate version.
with rated as (
    {{ events_of(['usage.rated'], {
        'usage_id': 'VARCHAR', 'subscription_item_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'window_start': 'DATE',
        'window_end': 'DATE', 'quantity': 'VARCHAR', 'unit_price': 'VARCHAR', 'amount': 'BIGINT',
        'currency': 'VARCHAR', 'aggregation': 'VARCHAR', 'rate_version': 'INTEGER',
    }) }}
)

select
    {{ envelope() }},
    d.usage_id,
    d.subscription_item_id,
    d.customer_id,
    d.window_start,
    d.window_end,
    cast(d.quantity as decimal(38, 12)) as quantity,
    cast(d.unit_price as decimal(38, 12)) as unit_price,
    d.amount,
    d.currency,
    coalesce(d.aggregation, 'sum') as aggregation,
    coalesce(d.rate_version, 1) as rate_version
from rated
