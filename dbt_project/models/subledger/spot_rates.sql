-- One row per entity, foreign currency and day on which something happened: functional minor units = TC x num / den.
-- Only a published direction is multiplied; where just the inverse exists, num and den are swapped (division).
with entities as (
    select entities.entity_id, entities.functional_currency, currencies.exponent as functional_exponent
    from {{ state('entities') }} as entities
    inner join {{ state('currencies') }} as currencies on entities.functional_currency = currencies.currency
),

days as (
    select distinct entity_id, accounting_date as rate_date from (
        select entity_id, effective_date as accounting_date from {{ ref('events') }}
    ) as happened
),

directed as (
    select
        rates.entity_id,
        rates.from_currency as currency,
        rates.rate_type,
        rates.rate_date,
        1 as preference,
        rates.rate_e12 * {{ pow10('entities.functional_exponent') }} as num,
        cast(1000000000000 as hugeint) * {{ pow10('currencies.exponent') }} as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities
        on rates.entity_id = entities.entity_id and rates.to_currency = entities.functional_currency
    inner join {{ state('currencies') }} as currencies on rates.from_currency = currencies.currency
    union all
    select
        rates.entity_id,
        rates.to_currency as currency,
        rates.rate_type,
        rates.rate_date,
        2 as preference,
        cast(1000000000000 as hugeint) * {{ pow10('entities.functional_exponent') }} as num,
        rates.rate_e12 * {{ pow10('currencies.exponent') }} as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities
        on rates.entity_id = entities.entity_id and rates.from_currency = entities.functional_currency
    inner join {{ state('currencies') }} as currencies on rates.to_currency = currencies.currency
),

valid as (
    select
        *,
        lead(rate_date, 1, date '9999-12-31') over (
            partition by entity_id, currency, preference order by rate_date
        ) as next_rate_date
    from directed
    where rate_type = 'spot'
)

select
    valid.entity_id,
    valid.currency,
    days.rate_date,
    valid.num,
    valid.den
from days
inner join valid
    on days.entity_id = valid.entity_id
    and days.rate_date >= valid.rate_date
    and days.rate_date < valid.next_rate_date
qualify row_number() over (
    partition by valid.entity_id, valid.currency, days.rate_date order by valid.preference
) = 1
