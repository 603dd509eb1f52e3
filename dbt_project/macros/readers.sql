{#- Readers of the files that are the record. Dispatched, so that another engine may bring its own. -#}
{#- Landed rows of one object. `erp` is the read-back, whatever ERP it is: its objects have one shape. -#}
{% macro landing(vendor, object) -%}{{ return(adapter.dispatch('landing')(vendor, object)) }}{%- endmacro %}
{% macro duckdb__landing(vendor, object) -%}
(select * from read_parquet('{{ env_var("REVENUE_LANDING") }}/*/{{ object }}/*/*.parquet', hive_partitioning = false, union_by_name = true) where {{ "_source = 'erp'" if vendor == 'erp' else "_vendor = '" ~ vendor ~ "'" }})
{%- endmacro %}

{#- A snapshot that Python writes from the company config or the operational store. -#}
{% macro state(name) -%}{{ return(adapter.dispatch('state')(name)) }}{%- endmacro %}
{% macro duckdb__state(name) -%}
{#- What posting left behind is an asset; config snapshots are not. -#}
{%- if name in ('posting_batches', 'posting_batch_lines', 'shadow_batch_lines', 'unposted_lines') %}{% set _lineage = source('posting', name) %}{% endif -%}
read_parquet('{{ env_var("REVENUE_STATE") }}/{{ name }}.parquet')
{%- endmacro %}

{#- Every journal line ever booked: the append-only journal of record. -#}
{% macro booked_lines() -%}{{ return(adapter.dispatch('booked_lines')()) }}{%- endmacro %}
{% macro duckdb__booked_lines() -%}
{%- set _lineage = source('posting', 'booked_lines') -%}
read_parquet('{{ env_var("REVENUE_JOURNAL") }}/lines/*.parquet', union_by_name = true)
{%- endmacro %}

{#- Which booked line went into which line of which posting batch. -#}
{% macro posting_members() -%}{{ return(adapter.dispatch('posting_members')()) }}{%- endmacro %}
{% macro duckdb__posting_members() -%}
{%- set _lineage = source('posting', 'posting_members') -%}
read_parquet('{{ env_var("REVENUE_JOURNAL") }}/members/*.parquet', union_by_name = true)
{%- endmacro %}
