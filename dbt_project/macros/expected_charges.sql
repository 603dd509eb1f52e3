{#- Days from a to b: calendar days, or days of a 30/360 year (day 31 counts as 30). -#}
{% macro day_count(a, b, basis) -%}
case
    when {{ basis }} = 'thirty_360'
        then 360 * (year({{ b }}) - year({{ a }})) + 30 * (month({{ b }}) - month({{ a }}))
            + least(day({{ b }}), 30) - least(day({{ a }}), 30)
    else date_diff('day', {{ a }}, {{ b }})
end
{%- endmacro %}

{#- Days that the price of a billing period stands for, for the service days [a, b) of it; columns period_start, period_end,
    day_basis, interval_months. A year of 30/360 days has 30 in every month, whatever the bill day; a whole period is whole. -#}
{% macro full_days(a, b, p='') -%}
case
    when {{ p }}day_basis = 'thirty_360' and ({{ a }} > {{ p }}period_start or {{ b }} < {{ p }}period_end) then 30 * {{ p }}interval_months
    else {{ day_count(p ~ 'period_start', p ~ 'period_end', p ~ 'day_basis') }}
end
{%- endmacro %}

{#- numerator / denominator rounded half away from zero; both HUGEINT, denominator positive. `//` truncates toward zero. -#}
{% macro round_half_up(numerator, denominator) -%}
(sign({{ numerator }})::hugeint * ((2 * abs({{ numerator }}) + {{ denominator }}) // (2 * {{ denominator }})))
{%- endmacro %}

{#- A decimal text as an integer of 10^-scale; exact, since DECIMAL keeps every digit of the text. -#}
{% macro scaled_decimal(text, scale) -%}
(({{ text }})::decimal(38, {{ scale }}) * {{ 10 ** scale }}::hugeint::decimal(38, 0))::hugeint
{%- endmacro %}

{#- Value of a policy key for (entity, product family, currency): the most specific row that sets it, else the default. -#}
{% macro policy_value(key, default, entity, family='null', currency='null') -%}
coalesce((
    select max_by(
        p.value, case when p.product_family is null then 0 else 2 end + case when p.currency is null then 0 else 1 end
    )
    from {{ state('policy') }} as p
    where
        p.key = '{{ key }}'
        and p.entity_id = {{ entity }}
        and (p.product_family is null or p.product_family = {{ family }})
        and (p.currency is null or p.currency = {{ currency }})
), '{{ default }}')
{%- endmacro %}
