{#- What the landing zone holds as files, for the reconciliation of landing itself. Dispatched: another engine reads files
    its own way. Paths are relative to the home, as the operational store keeps them. -#}

{#- One row per file of landing and quarantine, from the footers: path, row_count. -#}
{% macro landed_files() -%}{{ return(adapter.dispatch('landed_files')()) }}{%- endmacro %}
{% macro duckdb__landed_files() -%}
({{ _landing_union("parquet_file_metadata({files})", {'path': 'file_name', 'row_count': 'num_rows'}) }})
{%- endmacro %}

{#- One row per landed or quarantined row: path, is_quarantined and the row's own columns. -#}
{% macro landed_rows() -%}{{ return(adapter.dispatch('landed_rows')()) }}{%- endmacro %}
{% macro duckdb__landed_rows() -%}
({{ _landing_union("read_parquet({files}, hive_partitioning = false, union_by_name = true, filename = true)", {
    'path': 'filename', '_source': '_source', '_vendor': '_vendor', '_object': '_object', '_record_id': '_record_id',
    '_content_hash': '_content_hash', '_landing_seq': '_landing_seq', '_entity_id': '_entity_id', 'raw': 'raw'
}) }})
{%- endmacro %}

{#- The same columns of both roots; a root without a file gives no rows. `path` loses the home. -#}
{% macro _landing_union(reader, columns) %}
{%- for root, folder in [['landing', env_var('REVENUE_LANDING', '')], ['quarantine', env_var('REVENUE_QUARANTINE', '')]] %}
{%- set files = "'" ~ folder ~ "/*/*/*/*.parquet'" %}
{%- set found = folder and execute and run_query('select count(*) from glob(' ~ files ~ ')').columns[0].values()[0] > 0 %}
{{ 'union all' if not loop.first }}
select
    {%- for name, column in columns.items() %}
    {%- if name == 'path' %}
    '{{ root }}' || substring({{ column if found else "''" }}, {{ folder | length + 1 }}) as path,
    {%- else %}
    {{ column if found else 'cast(null as ' ~ ('bigint' if name in ('row_count', '_landing_seq') else 'varchar') ~ ')' }} as {{ name }},
    {%- endif %}
    {%- endfor %}
    {{ 'true' if root == 'quarantine' else 'false' }} as is_quarantined
{{ 'from ' ~ reader.replace('{files}', files) if found else 'where 1 = 0' }}
{%- endfor %}
{% endmacro %}

{#- sha256 of a text, hexadecimal. -#}
{% macro sha256_of(text) -%}{{ return(adapter.dispatch('sha256_of')(text)) }}{%- endmacro %}
{% macro duckdb__sha256_of(text) -%}sha256({{ text }}){%- endmacro %}

{#- A row as one number: who it is and what text it holds. Landing computed the same when it wrote the file, and kept the
    XOR of a file's rows as 15 hexadecimal digits. -#}
{% macro landed_row_number() -%}{{ return(adapter.dispatch('landed_row_number')()) }}{%- endmacro %}
{% macro duckdb__landed_row_number() -%}
cast('0x' || substring(sha256(
    coalesce(_source, '') || '|' || coalesce(_vendor, '') || '|' || coalesce(_object, '') || '|' || coalesce(_record_id, '') || '|'
    || coalesce(_content_hash, '') || '|' || cast(_landing_seq as varchar) || '|' || coalesce(_entity_id, '')
), 1, 15) as bigint)
{%- endmacro %}
{% macro landed_digest(row_numbers) -%}{{ return(adapter.dispatch('landed_digest')(row_numbers)) }}{%- endmacro %}
{% macro duckdb__landed_digest(row_numbers) -%}printf('%015x', coalesce(bit_xor({{ row_numbers }}), 0)){%- endmacro %}

{#- XOR of two such digests, and the bit of a whole number. -#}
{% macro landed_digest_change(one, other) -%}{{ return(adapter.dispatch('landed_digest_change')(one, other)) }}{%- endmacro %}
{% macro duckdb__landed_digest_change(one, other) -%}
xor(cast('0x' || {{ one }} as bigint), cast('0x' || {{ other }} as bigint))
{%- endmacro %}
{% macro landed_bit(number, bit) -%}{{ return(adapter.dispatch('landed_bit')(number, bit)) }}{%- endmacro %}
{% macro duckdb__landed_bit(number, bit) -%}(({{ number }} >> {{ bit }}) & 1) = 1{%- endmacro %}

{#- A decimal text as a number, null if it is none or has more than 19 digits before the point. -#}
{% macro landed_amount(text) -%}{{ return(adapter.dispatch('landed_amount')(text)) }}{%- endmacro %}
{% macro duckdb__landed_amount(text) -%}try_cast({{ text }} as decimal(31, 12)){%- endmacro %}

{#- A control total in minor units; a difference below one counts as none, its row is named all the same.
    What does not fit counts as nil on both sides: its rows are proven by their digest. -#}
{% macro landed_minor(amount, unit, exponent) -%}
{{ return(adapter.dispatch('landed_minor')(amount, unit, exponent)) }}
{%- endmacro %}
{% macro duckdb__landed_minor(amount, unit, exponent) -%}
coalesce(try_cast(round(
    coalesce({{ amount }}, 0) * case {{ unit }} when 'major' then {{ power_of_ten('coalesce(' ~ exponent ~ ', 2)') }} else 1 end, 0
) as bigint), 0)
{%- endmacro %}
