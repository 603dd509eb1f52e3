-- One row per period and currency: the rate to group currency at the end of the period, as an exact fraction.
{{ config(tags=['after_posting']) }}

{% set group = var('group_currency', 'USD') %}
with periods as (
    select distinct
        period,
        end_date_exclusive
    from {{ state('periods') }}
    where start_date <= {{ as_of_date() }}
),

-- Both directions; the published one is exact, the other divides by it (never a rounded reciprocal).
rates as (
    select
        from_currency as currency,
        rate_date,
        rate_type,
        1 as direct,
        rate_e12 as numerator,
        cast(1000000000000 as hugeint) as denominator
    from {{ ref('can_fx_rates') }}
    where to_currency = '{{ group }}' and from_currency <> '{{ group }}'
    union all
    select
        to_currency as currency,
        rate_date,
        rate_type,
        0 as direct,
        cast(1000000000000 as hugeint) as numerator,
        rate_e12 as denominator
    from {{ ref('can_fx_rates') }}
    where from_currency = '{{ group }}' and to_currency <> '{{ group }}'
),

chosen as (
    select
        periods.period,
        rates.currency,
        rates.numerator,
        rates.denominator,
        rates.rate_type || ' ' || cast(rates.rate_date as varchar) as rate_label
    from periods
    inner join rates on periods.end_date_exclusive > rates.rate_date
    where rates.rate_type in ('closing', 'spot') and rates.denominator > 0
    qualify row_number() over (
        partition by periods.period, rates.currency
        order by rates.rate_date desc, case rates.rate_type when 'closing' then 0 else 1 end asc, rates.direct desc, rates.numerator asc
    ) = 1
)

select
    period,
    currency,
    '{{ group }}' as group_currency,
    numerator,
    denominator,
    rate_label
from chosen
union all
select
    period,
    '{{ group }}' as currency,
    '{{ group }}' as group_currency,
    cast(1 as hugeint) as numerator,
    cast(1 as hugeint) as denominator,
    'group currency' as rate_label
from periods
