{#- The parts of a service window and the splitting of an amount over them, in closed form per period. -#}

{#- Adds to `relation` (columns entity_id, service_start, service_end, recognition, at_once, posting_date) the lists
    starts, ends (the days of the window inside the part), done_at (first day on which the whole part has passed),
    recognised_on (date of its entry) and weights. A line recognised at once has one part on its posting date.
    Parts of ratable_daily are periods of the entity's calendar; every other method is defined over calendar months. -#}
{% macro window_parts(relation) -%}
select
    bounded.* exclude (first_index, first_month, part_numbers, bounds),
    case when at_once then [posting_date]
        else list_transform(part_numbers, lambda i: greatest(service_start, bounds[i + 1])) end as starts,
    case when at_once then [posting_date]
        else list_transform(part_numbers, lambda i: least(service_end, bounds[i + 2])) end as ends,
    case when at_once then [posting_date]
        when recognition = 'monthly_anniversary'
            then list_transform(part_numbers, lambda i: {{ add_months('service_start', 'i + 1') }})
        else list_transform(part_numbers, lambda i: bounds[i + 2]) end as done_at,
    case when at_once then [posting_date]
        when recognition = 'monthly_anniversary'
            then list_transform(part_numbers, lambda i: {{ add_months('service_start', 'i + 1') }})
        else list_transform(part_numbers, lambda i: cast(bounds[i + 2] - 1 as date)) end as recognised_on,
    case
        when at_once then [cast(1 as bigint)]
        when recognition in ('ratable_monthly_equal', 'monthly_anniversary')
            then list_transform(part_numbers, lambda i: cast(1 as bigint))
        when recognition = 'monthly_prorata_temporis' then list_transform(part_numbers, lambda i: cast(
            (least(service_end, bounds[i + 2]) - greatest(service_start, bounds[i + 1]))
            * (377580 // (bounds[i + 2] - bounds[i + 1])) as bigint))
        when recognition = 'half_month' then list_transform(part_numbers, lambda i: cast(case
            when service_start <= bounds[i + 1] and service_end >= bounds[i + 2]
                then 2 else 1 end as bigint))
        when recognition = 'thirty_360' then list_transform(part_numbers, lambda i: cast(
            case when service_end >= bounds[i + 2] then 30
                else least(day(service_end) - 1, 30) end
            - least(case when service_start <= bounds[i + 1] then 1 else day(service_start) end, 30)
            + 1 as bigint))
        else list_transform(part_numbers, lambda i: cast(
            least(service_end, bounds[i + 2])
            - greatest(service_start, bounds[i + 1]) as bigint))
    end as weights
from (
    select
        counted.*,
        -- where the parts meet: first days of periods
        list_transform(range(len(part_numbers) + 1), lambda i: {{ window_bound('i') }}) as bounds
    from (
        select
            numbered.*,
            {{ month_first('service_start') }} as first_month,
            {{ window_first_index() }} as first_index,
            range(case
                when at_once then 1
                when recognition = 'monthly_anniversary' then date_diff('month', service_start, service_end)
                    + case when {{ add_months('service_start', "date_diff('month', service_start, service_end)") }} < service_end
                        then 1 else 0 end
                    - case when {{ add_months('service_start', "date_diff('month', service_start, service_end) - 1") }} >= service_end
                        then 1 else 0 end
                else {{ window_part_count() }}
            end) as part_numbers
        from {{ relation }} as numbered
    ) as counted
) as bounded
{%- endmacro %}

{#- Number of the first period of a window whose parts are periods of weeks; null where they are calendar months. -#}
{% macro window_first_index() -%}
{%- if week_calendars() -%}
case when {{ counts_in_weeks('entity_id') }} and recognition = 'ratable_daily' then {{ period_index('service_start') }} end
{%- else -%}
cast(null as integer)
{%- endif -%}
{%- endmacro %}
{% macro window_part_count() -%}
{%- set months -%}
date_diff('month', {{ month_first('service_start') }}, {{ month_first('cast(service_end - 1 as date)') }}) + 1
{%- endset -%}
{%- if week_calendars() -%}
case when {{ counts_in_weeks('entity_id') }} and recognition = 'ratable_daily'
    then {{ period_index('cast(service_end - 1 as date)') }} - {{ period_index('service_start') }} + 1 else {{ months }} end
{%- else -%}
{{ months }}
{%- endif -%}
{%- endmacro %}
{#- First day of part `i` (0-based) of a window. -#}
{% macro window_bound(i) -%}
{%- if week_calendars() -%}
case when first_index is not null then {{ period_start('first_index + ' ~ i) }} else {{ add_months('first_month', i) }} end
{%- else -%}
{{ add_months('first_month', i) }}
{%- endif -%}
{%- endmacro %}

{#- Adds to `relation` the list `parts`: `total` split over the list `weights` by the rounding mode in column `rounding`.
    Sums exactly to `total`; a negative total is split as its absolute value and negated. Weights sum to > 0. -#}
{% macro split_over_weights(relation, total='total', weights='weights', parts='parts') -%}
select
    picked.* exclude (floors, remainders, upto, whole, absorbing, raised),
    case rounding
        when 'cumulative' then list_transform(range(1, len(upto) + 1), lambda i: upto[i] - coalesce(upto[i - 1], 0))
        when 'last_absorbs' then {{ absorbed(total, weights) }}
        when 'first_absorbs' then {{ absorbed(total, weights) }}
        else list_transform(range(1, len(floors) + 1), lambda i: cast(
            case when {{ total }} < 0 then -1 else 1 end * (floors[i] + case when list_contains(raised, i) then 1 else 0 end) as bigint))
    end as {{ parts }}
from (
    select
        floored.*,
        list_transform(
            list_sort(list_transform(range(1, len(remainders) + 1), lambda i: {'r': -remainders[i], 'i': i}))[
                1:abs(cast({{ total }} as hugeint)) - cast(list_sum(floors) as hugeint)],
            lambda x: x.i
        ) as raised
    from (
        select
            weighted.*,
            -- only what the rounding mode of the row asks for
            case when rounding = 'cumulative' then list_transform(range(1, len({{ weights }}) + 1), lambda i:
                {{ half_up('cast(' ~ total ~ ' as hugeint) * list_sum(' ~ weights ~ '[1:i])', 'whole') }}) end as upto,
            case when rounding not in ('cumulative', 'last_absorbs', 'first_absorbs')
                then list_transform({{ weights }}, lambda w: abs(cast({{ total }} as hugeint)) * w // whole) end as floors,
            case when rounding not in ('cumulative', 'last_absorbs', 'first_absorbs')
                then list_transform({{ weights }}, lambda w: abs(cast({{ total }} as hugeint)) * w % whole) end as remainders
        from (
            select
                given.*,
                greatest(cast(list_sum({{ weights }}) as hugeint), 1) as whole,
                -- the part that takes the rest: the first or last that has any weight, never one that has passed
                coalesce(case rounding
                    when 'first_absorbs' then list_position(list_transform({{ weights }}, lambda w: w > 0), true)
                    when 'last_absorbs'
                        then len({{ weights }}) + 1 - list_position(list_reverse(list_transform({{ weights }}, lambda w: w > 0)), true)
                end, 1) as absorbing
            from {{ relation }} as given
        ) as weighted
    ) as floored
) as picked
{%- endmacro %}

{#- Every part half up; part `absorbing` takes the rest. -#}
{% macro absorbed(total, weights) -%}
list_transform(range(1, len({{ weights }}) + 1), lambda i:
            case when i <> absorbing
                then {{ half_up('cast(' ~ total ~ ' as hugeint) * ' ~ weights ~ '[i]', 'whole') }}
                else {{ total }} - cast(list_sum(list_transform({{ weights }},
                    lambda w: {{ half_up('cast(' ~ total ~ ' as hugeint) * w', 'whole') }})) as bigint)
                    + {{ half_up('cast(' ~ total ~ ' as hugeint) * ' ~ weights ~ '[absorbing]', 'whole') }} end)
{%- endmacro %}
