{#- Instants are naive UTC timestamps, days are calendar days in the zone of the legal entity. -#}

{#- Unix seconds (bigint) to a naive UTC timestamp. -#}
{% macro unix_to_utc(expression) -%}{{ return(adapter.dispatch('unix_to_utc')(expression)) }}{%- endmacro %}
{% macro duckdb__unix_to_utc(expression) -%}make_timestamp(cast({{ expression }} as bigint) * 1000000){%- endmacro %}

{#- RFC 3339 text, with `Z`, an offset or neither (then UTC), to a naive UTC timestamp. -#}
{% macro iso_to_utc(expression) -%}{{ return(adapter.dispatch('iso_to_utc')(expression)) }}{%- endmacro %}
{% macro duckdb__iso_to_utc(expression) -%}
case
    -- by far the most frequent form needs neither a pattern nor a time zone
    when substr({{ expression }}, 11, 1) = 'T' and right({{ expression }}, 1) = 'Z' then cast({{ expression }} as timestamp)
    else timezone('UTC', cast(case
    when regexp_matches({{ expression }}, '(Z|z|[+-][0-9]{2}:?([0-9]{2})?)$') and length({{ expression }}) > 10
        then regexp_replace({{ expression }}, '([+-][0-9]{2})([0-9]{2})$', '\1:\2')
    else {{ expression }} || '+00'
end as timestamptz)) end
{%- endmacro %}

{#- Calendar day of a naive UTC timestamp in an IANA time zone. -#}
{% macro local_date(utc, time_zone) -%}{{ return(adapter.dispatch('local_date')(utc, time_zone)) }}{%- endmacro %}
{% macro duckdb__local_date(utc, time_zone) -%}
cast(timezone({{ time_zone }}, timezone('UTC', {{ utc }})) as date)
{%- endmacro %}

{#- Naive UTC instant at which a calendar day begins in an IANA time zone. -#}
{% macro day_start_utc(day, time_zone) -%}{{ return(adapter.dispatch('day_start_utc')(day, time_zone)) }}{%- endmacro %}
{% macro duckdb__day_start_utc(day, time_zone) -%}
timezone('UTC', timezone({{ time_zone }}, cast({{ day }} as timestamp)))
{%- endmacro %}

{#- Date moved by n months, clipped to the end of the month (31 January + 1 = 28 February). Always count from the
    anchor, never from the previous result, or the 31st is lost for ever. -#}
{% macro add_months(day, n) -%}{{ return(adapter.dispatch('add_months')(day, n)) }}{%- endmacro %}
{% macro duckdb__add_months(day, n) -%}cast({{ day }} + to_months(cast({{ n }} as integer)) as date){%- endmacro %}

{% macro add_days(day, n) -%}{{ return(adapter.dispatch('add_days')(day, n)) }}{%- endmacro %}
{% macro duckdb__add_days(day, n) -%}cast({{ day }} + cast({{ n }} as integer) as date){%- endmacro %}

{#- Days from `a` to `b`, both dates. -#}
{% macro days_between(a, b) -%}{{ return(adapter.dispatch('days_between')(a, b)) }}{%- endmacro %}
{% macro duckdb__days_between(a, b) -%}cast({{ b }} - {{ a }} as integer){%- endmacro %}

{#- Calendar months from the month of `a` to the month of `b`. -#}
{% macro months_between_firsts(a, b) -%}
cast((extract(year from {{ b }}) - extract(year from {{ a }})) * 12 + extract(month from {{ b }}) - extract(month from {{ a }}) as integer)
{%- endmacro %}

{#- One row per integer from `first` to `last` (both included) beside each row: use in a select list. -#}
{% macro each_integer(first, last) -%}{{ return(adapter.dispatch('each_integer')(first, last)) }}{%- endmacro %}
{% macro duckdb__each_integer(first, last) -%}cast(unnest(range({{ first }}, {{ last }} + 1)) as integer){%- endmacro %}

{#- The cut-off day of the build; today (UTC) if none is set. -#}
{% macro as_of_date() -%}
{%- if var('as_of', '') -%}cast('{{ var("as_of") }}' as date){%- else -%}{{ return(adapter.dispatch('today_utc')()) }}{%- endif -%}
{%- endmacro %}
{% macro duckdb__today_utc() -%}cast(timezone('UTC', now()) as date){%- endmacro %}
