-- One row per event the billing and payment platform gives rise to.
{%- for part in ['subscriptions', 'usage', 'invoices', 'credit_notes', 'payments', 'disputes', 'balances'] %}
{{ 'union all' if not loop.first }}
select * from {{ ref('stg_stripe__events_' ~ part) }}
{%- endfor %}
