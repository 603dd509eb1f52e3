{#- A returned row holds a NULL: none may reach a reader of a published table. -#}
{% test recon_no_nulls(model) %}
{%- set columns = adapter.get_columns_in_relation(model) if execute else [] %}
{%- for column in columns %}
select '{{ column.name }}' as column_name, count(*) as null_count
from {{ model }}
where {{ adapter.quote(column.name) }} is null
having count(*) > 0
{{ 'union all' if not loop.last }}
{%- else %}
select 1 as column_name where 1 = 0
{%- endfor %}
{% endtest %}

{#- A returned row of a reconciliation breaks its shape: amounts that do not subtract, a difference without a class, a
    class without reference or explanation, or a key that occurs twice. -#}
{% test recon_rows_foot(model) %}
select recon_id, entity_id, period, currency, item_key, 'does not foot' as fault
from {{ model }}
where
    left_amount - right_amount <> difference
    or (difference <> 0 and variance_class is null)
    or (variance_class is not null and (reference is null or explanation is null))
    or period is null
    or currency is null
    or entity_id is null
    or is_matched is null
    or gates is null
union all
select recon_id, entity_id, period, currency, item_key, 'occurs twice' as fault
from {{ model }}
group by recon_id, entity_id, period, currency, item_key
having count(*) > 1
{% endtest %}
