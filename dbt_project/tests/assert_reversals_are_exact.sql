-- A returned row is a booked line that was reversed and does not sum to nil with its reversal, or a reversal of nothing.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_booked_accounts'}}}) }}
{%- set _checked = ref('rec_booked_accounts') %}
with booked as (
    select * from {{ booked_lines() }}
)

select
    entry_key, entry_hash, generation, line_no, account_role, currency, sum(amount_tc) as amount_tc, sum(amount_fc) as amount_fc
from booked
group by
    entity_id, entry_key, entry_hash, generation, line_no, account_role, currency, product_family, customer_id, jurisdiction,
    tax_code
having min(sign) = -1 and (sum(sign) <> 0 or count(*) <> 2 or sum(amount_tc) <> 0 or sum(amount_fc) <> 0)
