{#- One row per refused event line that says which event it was: record_id, event_key, id, entity_id, detail, vendor_record.
    The reader writes its class into the reason; without a quarantine there are no rows. -#}
{% macro dead_letters() -%}{{ return(adapter.dispatch('dead_letters')()) }}{%- endmacro %}
{% macro duckdb__dead_letters() -%}
{%- set folder = env_var('REVENUE_QUARANTINE', '') -%}
{%- set files = "'" ~ folder ~ "/*/*/*/*.parquet'" -%}
{%- set found = folder and execute and run_query('select count(*) from glob(' ~ files ~ ')').columns[0].values()[0] > 0 -%}
{%- set nothing = "(select '' as _record_id, '' as _source, '' as _object, '' as reason, '' as raw where 1 = 0)" -%}
(select
    _record_id as record_id,
    md5({{ json_text('raw', '$.source') }} || '|' || {{ json_text('raw', '$.id') }}) as event_key,
    {{ json_text('raw', '$.id') }} as id,
    {{ json_text('raw', '$.entityid') }} as entity_id,
    reason as detail,
    _source || '/' || _object || '/' || _record_id as vendor_record
from {{ 'read_parquet(' ~ files ~ ', hive_partitioning = false, union_by_name = true)' if found else nothing }}
where
    reason like '%[schema_invalid; owner: %'
    and case when json_valid(raw) then {{ json_text('raw', '$.source') }} || {{ json_text('raw', '$.id') }} end is not null)
{%- endmacro %}
