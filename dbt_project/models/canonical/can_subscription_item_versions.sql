-- One row per subscription item and the event (creation or amendment) that started or ended it.
with changes as (
    {{ events_of(['subscription.created', 'amendment.booked'], {
        'subscription_id': 'VARCHAR', 'amendment_id': 'VARCHAR', 'kind': 'VARCHAR', 'currency': 'VARCHAR',
        'items': [{
            'action': 'VARCHAR', 'item_id': 'VARCHAR', 'product_id': 'VARCHAR', 'product_family': 'VARCHAR',
            'quantity': 'VARCHAR', 'unit_price': 'VARCHAR', 'tax_rate': 'VARCHAR', 'minimum_amount': 'BIGINT',
            'timing': 'VARCHAR',
        }],
    }) }}
),

numbered as (
    select changes.*, unnest(d.items) as x, unnest(range(1, len(d.items) + 1)) as item_no
    from changes
    where d.subscription_id is not null
)

select
    {{ envelope() }},
    event_type,
    d.subscription_id,
    d.amendment_id,
    d.kind as amendment_kind,
    cast(item_no as integer) as item_no,
    coalesce(x.action, 'start') as action,
    x.item_id,
    x.product_id,
    coalesce(x.product_family, 'default') as product_family,
    coalesce(cast(x.quantity as decimal(38, 12)), 1) as quantity,
    cast(x.unit_price as decimal(38, 12)) as unit_price,
    cast(x.tax_rate as decimal(38, 12)) as tax_rate,
    x.minimum_amount,
    x.timing
from numbered
