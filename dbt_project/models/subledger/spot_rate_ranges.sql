-- One row per entity, foreign currency and stretch of days on which one spot rate holds: functional minor units = TC x num / den.
-- Only a published direction is multiplied; where just the inverse exists, num and den are swapped (preference 2).
with entities as (
    select entities.entity_id, entities.functional_currency, currencies.exponent as functional_exponent
    from {{ state('entities') }} as entities
    inner join {{ state('currencies') }} as currencies on entities.functional_currency = currencies.currency
),

directed as (
    select
        rates.entity_id,
        rates.from_currency as currency,
        rates.rate_date,
        1 as preference,
        rates.rate_e12 * {{ pow10('entities.functional_exponent') }} as num,
        cast(1000000000000 as hugeint) * {{ pow10('currencies.exponent') }} as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities
        on rates.entity_id = entities.entity_id and rates.to_currency = entities.functional_currency
    inner join {{ state('currencies') }} as currencies on rates.from_currency = currencies.currency
    where rates.rate_type = 'spot'
    union all
    select
        rates.entity_id,
        rates.to_currency as currency,
        rates.rate_date,
        2 as preference,
        cast(1000000000000 as hugeint) * {{ pow10('entities.functional_exponent') }} as num,
        rates.rate_e12 * {{ pow10('currencies.exponent') }} as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities
        on rates.entity_id = entities.entity_id and rates.from_currency = entities.functional_currency
    inner join {{ state('currencies') }} as currencies on rates.to_currency = currencies.currency
    where rates.rate_type = 'spot'
)

select
    entity_id,
    currency,
    preference,
    rate_date as valid_from,
    lead(rate_date, 1, date '9999-12-31') over (
        partition by entity_id, currency, preference order by rate_date
    ) as valid_to,
    num,
    den
from directed
