-- A returned row is a billing record that landed without a configured legal entity: everything it means would be lost.
-- depends_on: {{ ref('stg_stripe__events') }}
{%- for object in ['invoice', 'charge', 'balance_transaction', 'subscription', 'credit_note', 'payout', 'refund', 'dispute'] %}
{{ 'union all' if not loop.first }}
select
    _source,
    _object,
    _record_id
from {{ landing('stripe', object) }} as landed
left join {{ state('entities') }} as entities on landed._entity_id = entities.entity_id
where entities.entity_id is null
{%- endfor %}
