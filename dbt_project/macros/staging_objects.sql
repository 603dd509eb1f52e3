{#- Typed columns of one landed object, latest version per record.

    `fields`: {column: [JSON path, type]} with type one of text, integer, decimal, boolean, date, unix, iso, json.
    `seen`: {column: condition}: the earliest landing of a version for which the condition on the typed columns held,
    i.e. when we first saw that fact although the record changed again later.
    `keep_deleted`: false drops a record whose latest version says that it was deleted; true keeps what it last was,
    for master data that older facts still point to.
    Every select also carries _source, _entity_id, _record_id, _landing_seq, _landed_at and _first_landed_at.
    A value that is not what its type says stops the build: a bad amount must never become a silent null. -#}
{% macro staged_object(vendor, object, fields, seen={}, keep_deleted=false) %}
{%- set _lineage = source(vendor, object) -%}
{%- set lineage = ['_source', '_entity_id', '_record_id', '_landing_seq', '_landed_at'] -%}
with landed as (
    select
        {{ lineage | join(', ') }},
        {{ json_texts('raw', (fields.values() | map(attribute=0) | list) + ['$.deleted']) }} as f
    from {{ landing(vendor, object) }}
),

typed as (
    select
        {{ lineage | join(', ') }},
        {%- for column, spec in fields.items() %}
        {{ typed_text('f[' ~ loop.index ~ ']', spec[1]) }} as {{ column }},
        {%- endfor %}
        coalesce(cast(f[{{ fields | length + 1 }}] as boolean), false) as _is_tombstone
    from landed
),

versions as (
    select
        *,
        {%- for column, condition in seen.items() %}
        min(case when {{ condition }} then _landed_at end) over (partition by _source, _record_id) as {{ column }},
        {%- endfor %}
        min(_landed_at) over (partition by _source, _record_id) as _first_landed_at,
        row_number() over (
            partition by _source, _record_id
            order by {{ '_is_tombstone, ' if keep_deleted }}_landing_seq desc
        ) as _version_rank
    from typed
)

select
    {{ (lineage + ['_first_landed_at'] + fields.keys() | list + seen.keys() | list) | join(',\n    ') }}
from versions
where _version_rank = 1 and not _is_tombstone
{% endmacro %}

{#- One extracted text as its type. -#}
{% macro typed_text(text, type) -%}
{%- if type in ('text', 'json') -%} {{ text }}
{%- elif type == 'integer' -%} cast({{ text }} as bigint)
{%- elif type == 'decimal' -%} cast({{ text }} as decimal(28, 12))
{%- elif type == 'boolean' -%} cast({{ text }} as boolean)
{%- elif type == 'date' -%} cast(substr({{ text }}, 1, 10) as date)
{%- elif type == 'unix' -%} {{ unix_to_utc(text) }}
{%- elif type == 'iso' -%} {{ iso_to_utc(text) }}
{%- else -%} {{ exceptions.raise_compiler_error('unknown field type ' ~ type) }}
{%- endif -%}
{%- endmacro %}
