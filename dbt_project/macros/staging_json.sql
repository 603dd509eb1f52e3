{#- JSON in and out. Everything an engine spells in its own way stands in a dispatched macro here. -#}

{#- Several fields of one JSON text in a single parse: a list of texts in the order of `paths`, null where absent. -#}
{% macro json_texts(column, paths) -%}{{ return(adapter.dispatch('json_texts')(column, paths)) }}{%- endmacro %}
{% macro duckdb__json_texts(column, paths) -%}
json_extract_string({{ column }}, ['{{ paths | join("', '") }}'])
{%- endmacro %}

{#- One field of a JSON text as text; strings lose their quotes, objects and arrays stay JSON. -#}
{% macro json_text(column, path) -%}{{ return(adapter.dispatch('json_text')(column, path)) }}{%- endmacro %}
{% macro duckdb__json_text(column, path) -%}json_extract_string({{ column }}, '{{ path }}'){%- endmacro %}

{#- JSON type of a value as upper-case word (OBJECT, ARRAY, VARCHAR, UBIGINT, BIGINT, DOUBLE, BOOLEAN, NULL). -#}
{% macro json_kind(column, path) -%}{{ return(adapter.dispatch('json_kind')(column, path)) }}{%- endmacro %}
{% macro duckdb__json_kind(column, path) -%}json_type({{ column }}, '{{ path }}'){%- endmacro %}

{#- One row per element of a JSON array column of `relation`: `keep` columns, `item` (JSON text) and `position` (from 1). -#}
{% macro json_elements(relation, column, keep) -%}{{ return(adapter.dispatch('json_elements')(relation, column, keep)) }}{%- endmacro %}
{% macro duckdb__json_elements(relation, column, keep) -%}
select
    {{ keep | join(', ') }},
    cast(unnest(_elements) as varchar) as item,
    cast(unnest(range(1, len(_elements) + 1)) as integer) as position
from (select *, json_extract({{ column }}, '$[*]') as _elements from {{ relation }})
{%- endmacro %}

{#- JSON object text from {field name: SQL expression}; fields that are null are left out. Numbers must be integers or
    already text; a nested object or array is given through `json_value`. -#}
{% macro json_object_text(fields) -%}{{ return(adapter.dispatch('json_object_text')(fields)) }}{%- endmacro %}
{% macro duckdb__json_object_text(fields) -%}
cast(json_merge_patch('{}', json_object(
    {%- for name, expression in fields.items() %}
    '{{ name }}', {{ expression }}{{ ',' if not loop.last }}
    {%- endfor %}
)) as varchar)
{%- endmacro %}

{#- A JSON text as a JSON value, so that nesting it does not quote it. -#}
{% macro json_value(expression) -%}{{ return(adapter.dispatch('json_value')(expression)) }}{%- endmacro %}
{% macro duckdb__json_value(expression) -%}cast({{ expression }} as json){%- endmacro %}

{#- Aggregate: JSON array text of JSON texts (`quote` false) or of plain texts (`quote` true), in a stated order. -#}
{% macro json_array_text(expression, order_by, quote=false) -%}
{{ return(adapter.dispatch('json_array_text')(expression, order_by, quote)) }}
{%- endmacro %}
{% macro duckdb__json_array_text(expression, order_by, quote=false) -%}
cast(to_json(list({{ expression if quote else json_value(expression) }} order by {{ order_by }})) as varchar)
{%- endmacro %}

{#- Hash of a JSON value that does not depend on the order of keys, the spaces or the key style:
    one row per `key`, column `content_digest`. -#}
{% macro json_digests(relation, key, column) -%}{{ return(adapter.dispatch('json_digests')(relation, key, column)) }}{%- endmacro %}
{% macro duckdb__json_digests(relation, key, column) -%}
select
    r.{{ key }},
    md5(string_agg(t.fullkey || '=' || coalesce(cast(t.atom as varchar), t.type), chr(10) order by t.fullkey)) as content_digest
from {{ relation }} as r, json_tree(r.{{ column }}) as t
group by r.{{ key }}
{%- endmacro %}

{#- Sum of the integers a JSON path finds, 0 if it finds none. -#}
{#- Whether two values at the path (with a wildcard) are the same text. -#}
{% macro json_values_repeat(column, path) -%}{{ return(adapter.dispatch('json_values_repeat')(column, path)) }}{%- endmacro %}
{% macro duckdb__json_values_repeat(column, path) -%}
list_unique(json_extract_string({{ column }}, '{{ path }}')) < len(list_filter(json_extract_string({{ column }}, '{{ path }}'), lambda v: v is not null))
{%- endmacro %}

{% macro json_sum(column, path) -%}{{ return(adapter.dispatch('json_sum')(column, path)) }}{%- endmacro %}
{% macro duckdb__json_sum(column, path) -%}
cast(coalesce(list_sum(cast(json_extract_string({{ column }}, '{{ path }}') as bigint[])), 0) as bigint)
{%- endmacro %}

{#- True if a text is a key of `length` lower-case hexadecimal digits. -#}
{% macro is_hex_key(text, length) -%}{{ return(adapter.dispatch('is_hex_key')(text, length)) }}{%- endmacro %}
{% macro duckdb__is_hex_key(text, length) -%}regexp_full_match({{ text }}, '[0-9a-f]{{ '{' }}{{ length }}{{ '}' }}'){%- endmacro %}
