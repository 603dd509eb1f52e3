{#- Parsing of event payloads. A payload is parsed once, into a typed struct, where its type is first used. -#}

{#- `column` (JSON text) as a struct. `spec` is a mapping {field: SQL type}, nested in lists and mappings as the
    payload is, or its JSON text; a missing or mistyped field is NULL. -#}
{% macro json_struct(column, spec) -%}{{ return(adapter.dispatch('json_struct')(column, spec)) }}{%- endmacro %}
{% macro duckdb__json_struct(column, spec) -%}from_json({{ column }}, '{{ spec if spec is string else tojson(spec) }}'){%- endmacro %}

{#- Rows of canonical.events of the given types, as (envelope columns, d = payload struct). An event that a later one
    supersedes has no effect: its replacement stands for it; nor has one that brings an object a second time. -#}
{% macro events_of(types, spec) -%}
select
    event_key,
    type as event_type,
    entity_id,
    effective_date as accounting_date,
    time,
    coalesce(sequence, '') as sequence,
    id as event_id,
    recorded_time,
    correlation_id,
    {{ json_struct('data', spec) }} as d
from {{ ref('events') }}
where type in ('{{ types | join("', '") }}')
    and {{ is_in_force('event_key') }}
    and event_key not in (select repeats.event_key from {{ ref('event_repeats') }} as repeats)
{%- endmacro %}

{#- True for an event that no other one supersedes. -#}
{% macro is_in_force(event_key) -%}
{{ event_key }} not in (
        select md5(source || '|' || supersedes_id) from {{ ref('events') }} where supersedes_id is not null
    )
{%- endmacro %}

{#- The envelope columns every typed canonical table starts with. -#}
{% macro envelope(relation='', with_recorded=true) -%}
{%- set p = relation ~ '.' if relation else '' -%}
{{ p }}event_key,
    {{ p }}entity_id,
    {{ p }}accounting_date,
    {{ p }}time,
    {{ p }}sequence,
    {{ p }}event_id,
    {{ p }}recorded_time,
    {{ p }}correlation_id
{%- endmacro %}

{#- Tax of an invoice line struct: its tax lines, else its tax_amount, else 0. -#}
{% macro line_tax(x) -%}
case when coalesce(len({{ x }}.tax_lines), 0) > 0
    then cast(list_sum(list_transform({{ x }}.tax_lines, lambda t: t.amount)) as bigint)
    else coalesce({{ x }}.tax_amount, 0) end
{%- endmacro %}

{#- A typed canonical table with its accounting verdict: adds posting_date and is_prior_period, drops blocked events. -#}
{% macro posted(model) -%}
select
    facts.*,
    coalesce(verdicts.posting_date, facts.accounting_date) as posting_date,
    coalesce(verdicts.is_prior_period, false) as is_prior_period
from {{ ref(model) }} as facts
left join {{ ref('event_verdicts') }} as verdicts on facts.event_key = verdicts.event_key
where verdicts.blocked_class is null
{%- endmacro %}

{#- A reference without case, blanks and punctuation. -#}
{% macro normalised(text) -%}regexp_replace(lower({{ text }}), '[^a-z0-9]', '', 'g'){%- endmacro %}

{#- Order of facts: accounting order after any move out of a closed period. -#}
{% macro fact_order(p='') -%}{{ p }}posting_date, {{ p }}accounting_date, {{ p }}time, {{ p }}sequence, {{ p }}event_id{%- endmacro %}

{#- Cut-off of the build: nothing dated later exists. Without one, today (UTC). -#}
{% macro as_of() -%}
{%- if var('as_of') -%} date '{{ var('as_of') }}' {%- else -%} current_date {%- endif -%}
{%- endmacro %}
