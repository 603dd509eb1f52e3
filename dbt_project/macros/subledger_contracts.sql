{#- Revenue to date of an obligation over time at the start of day `at`: base + remaining x passed share of its window.
    Needs columns is_daily and the lists starts, ends, done_at of the window and `parts` of the split remaining. -#}
{% macro recognised_over_time(at, base, remaining, start, prefix, parts) -%}
{{ base }} + cast(case
    when {{ remaining }} = 0 or {{ prefix }}starts is null then 0
    when is_daily then {{ share(remaining,
        'cast(list_sum(list_transform(range(len(' ~ prefix ~ 'starts)), lambda i: greatest(least(' ~ prefix ~ 'ends[i + 1], ' ~ at ~ ') - greatest('
            ~ prefix ~ 'starts[i + 1], ' ~ start ~ '), 0))) as hugeint)',
        'cast(list_sum(list_transform(range(len(' ~ prefix ~ 'starts)), lambda i: greatest(' ~ prefix ~ 'ends[i + 1] - greatest('
            ~ prefix ~ 'starts[i + 1], ' ~ start ~ '), 0))) as hugeint)') }}
    else coalesce(list_sum(list_transform(range(len({{ parts }})), lambda i:
        case when {{ prefix }}done_at[i + 1] <= {{ at }} then {{ parts }}[i + 1] else 0 end)), 0)
end as bigint)
{%- endmacro %}

{#- Weights of the parts of a window that are left from `start` on. -#}
{% macro weights_from(start, prefix) -%}
case when {{ prefix }}starts is null then [cast(1 as bigint)]
    else list_transform(range(len({{ prefix }}starts)), lambda i: case
        when {{ prefix }}done_at[i + 1] <= {{ start }} then cast(0 as bigint)
        when is_daily then cast(greatest({{ prefix }}ends[i + 1] - greatest({{ prefix }}starts[i + 1], {{ start }}), 0) as bigint)
        else {{ prefix }}weights[i + 1] end) end
{%- endmacro %}

{#- An amount of contract line `booked` in contract currency: as it is, or converted once at the line's exchange rate. -#}
{% macro at_contract_rate(amount, minor_per_unit, line_minor_per_unit) -%}
case
            when booked.exchange_rate_e12 is null then {{ amount }}
            when {{ amount }} is not null then {{ half_up(amount ~ ' * booked.exchange_rate_e12 * ' ~ minor_per_unit,
                'cast(1000000000000 as hugeint) * ' ~ line_minor_per_unit) }}
        end
{%- endmacro %}

{#- A unit price of contract line `booked` (scaled by 1e12) in contract currency, to 12 places. -#}
{% macro price_at_contract_rate(price_e12) -%}
case
            when booked.exchange_rate_e12 is null then {{ price_e12 }}
            else (2 * {{ price_e12 }} * booked.exchange_rate_e12 + 1000000000000) // 2000000000000
        end
{%- endmacro %}
