{#- Periods of a legal entity: which one a day lies in, and the days it starts and ends on.

    Most entities count in calendar months. Those with a calendar of weeks (4-4-5 and its like) are named, with their rule, in
    the variable week_calendars; without any, these macros are plain month arithmetic. Every period has a whole number
    (12 x fiscal year + number of the period - 1), so that the next one is the number plus one under every calendar. -#}
{% macro week_calendars() -%}{{ return(fromjson(var('week_calendars', '')) if var('week_calendars', '') else []) }}{%- endmacro %}

{#- True for an entity that counts in weeks. -#}
{% macro counts_in_weeks(entity) -%}
{%- set calendars = week_calendars() -%}
{%- if calendars -%}{{ entity }} in ('{{ calendars | map(attribute='entities') | sum(start=[]) | join("', '") }}'){%- else -%}false{%- endif -%}
{%- endmacro %}

{#- One expression per calendar, picked by the entity; `form` is a macro of (calendar, x), `month_form` of (x). -#}
{% macro by_calendar(form, month_form, x, entity) -%}
{%- set calendars = week_calendars() -%}
{%- if calendars -%}
case {% for calendar in calendars %}when {{ entity }} in ('{{ calendar.entities | join("', '") }}') then {{ form(calendar, x) }} {% endfor -%}
else {{ month_form(x) }} end
{%- else -%}
{{ month_form(x) }}
{%- endif -%}
{%- endmacro %}

{#- `body` with `name` standing for `value`, computed once. -#}
{% macro bind(name, value, body) -%}{{ return(adapter.dispatch('bind')(name, value, body)) }}{%- endmacro %}
{% macro duckdb__bind(name, value, body) -%}list_transform([{{ value }}], lambda {{ name }}: {{ body }})[1]{%- endmacro %}

{#- Week (counted from the calendar's origin) in which the fiscal year of calendar year `year` starts. -#}
{% macro fiscal_first_week(calendar, year) -%}
((make_date(cast({{ year }} as integer), {{ calendar.month }}, {{ calendar.day }}) - date '{{ calendar.origin }}') + {{ calendar.slack }}) // 7
{%- endmacro %}

{% macro fiscal_index(calendar, day) -%}
{%- set k -%}
(wk - ({{ fiscal_first_week(calendar, 'fy') }}) - case
    when {{ fiscal_first_week(calendar, 'fy + 1') }} - {{ fiscal_first_week(calendar, 'fy') }} = 53
        and wk - ({{ fiscal_first_week(calendar, 'fy') }}) >= {{ calendar.extra }} then 1 else 0 end)
{%- endset -%}
{%- set number -%}
12 * (fy + {{ calendar.label }}) + 3 * (kw // 13) + case when kw % 13 >= {{ calendar.second }} then 2 when kw % 13 >= {{ calendar.first }} then 1 else 0 end
{%- endset -%}
{%- set year -%}
cy + case when wk >= {{ fiscal_first_week(calendar, 'cy + 1') }} then 1 when wk >= {{ fiscal_first_week(calendar, 'cy') }} then 0 else -1 end
{%- endset -%}
{{ bind('wk', '(' ~ day ~ " - date '" ~ calendar.origin ~ "') // 7",
    bind('cy', 'cast(extract(year from ' ~ day ~ ') as integer)', bind('fy', year, bind('kw', k, 'cast(' ~ number ~ ' as integer)')))) }}
{%- endmacro %}
{% macro month_index(day) -%}cast(extract(year from {{ day }}) * 12 + extract(month from {{ day }}) - 1 as integer){%- endmacro %}

{% macro fiscal_start(calendar, index) -%}
{%- set week -%}
{{ fiscal_first_week(calendar, 'pn // 12 - ' ~ calendar.label) }} + 13 * (pn % 12 // 3)
    + case pn % 3 when 0 then 0 when 1 then {{ calendar.first }} else {{ calendar.second }} end
    + case when pn % 12 >= {{ calendar.extra_no }}
        and {{ fiscal_first_week(calendar, 'pn // 12 - ' ~ calendar.label ~ ' + 1') }}
        - {{ fiscal_first_week(calendar, 'pn // 12 - ' ~ calendar.label) }} = 53 then 1 else 0 end
{%- endset -%}
{{ bind('pn', index, add_days("date '" ~ calendar.origin ~ "'", '7 * (' ~ week ~ ')')) }}
{%- endmacro %}
{% macro month_start(index) -%}{{ add_months("date '0001-01-01'", '(' ~ index ~ ') - 12') }}{%- endmacro %}

{#- Whole number of the period that a day lies in. -#}
{% macro period_index(day, entity='entity_id') -%}{{ by_calendar(fiscal_index, month_index, day, entity) }}{%- endmacro %}

{#- First day of the period with that number. -#}
{% macro period_start(index, entity='entity_id') -%}{{ by_calendar(fiscal_start, month_start, index, entity) }}{%- endmacro %}

{#- `YYYY-MM` of the period with that number. -#}
{% macro period_name(index) -%}
lpad(cast(({{ index }}) // 12 as varchar), 4, '0') || '-' || lpad(cast(({{ index }}) % 12 + 1 as varchar), 2, '0')
{%- endmacro %}

{#- `YYYY-MM` of the period that a day lies in. -#}
{% macro period_of(day, entity='entity_id') -%}{{ by_calendar(fiscal_name, month_name, day, entity) }}{%- endmacro %}
{% macro fiscal_name(calendar, day) -%}{{ bind('pm', fiscal_index(calendar, day), period_name('pm')) }}{%- endmacro %}
{% macro month_name(day) -%}{{ return(adapter.dispatch('month_name')(day)) }}{%- endmacro %}
{% macro duckdb__month_name(day) -%}strftime({{ day }}, '%Y-%m'){%- endmacro %}

{#- First day of the period that a day lies in, or of the one `ahead` periods later; last day of a day's period. -#}
{% macro period_first_day(day, entity='entity_id', ahead='0') -%}
{{ by_calendar(fiscal_first_day, month_first_day, {'day': day, 'ahead': ahead}, entity) }}
{%- endmacro %}
{% macro fiscal_first_day(calendar, x) -%}{{ fiscal_start(calendar, fiscal_index(calendar, x.day) ~ ' + ' ~ x.ahead) }}{%- endmacro %}
{% macro month_first_day(x) -%}{{ month_first(x.day) if x.ahead == '0' else add_months(month_first(x.day), x.ahead) }}{%- endmacro %}
{% macro period_last_day(day, entity='entity_id') -%}{{ by_calendar(fiscal_last_day, month_last_day, day, entity) }}{%- endmacro %}
{% macro fiscal_last_day(calendar, day) -%}{{ add_days(fiscal_start(calendar, fiscal_index(calendar, day) ~ ' + 1'), -1) }}{%- endmacro %}
{% macro month_last_day(day) -%}last_day({{ day }}){%- endmacro %}
