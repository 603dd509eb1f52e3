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
