-- One row per leg of a month-end revaluation of an open monetary item in foreign currency, and of its reversal next day.
-- Transaction currency never changes (amount_tc 0); a month end without a closing rate of that very day is left alone.
{{ config(materialized='ephemeral') }}
with closing as (
    select
        rates.event_key,
        rates.entity_id,
        other.currency,
        entities.functional_currency,
        rates.rate_date,
        case
            when rates.to_currency = entities.functional_currency
                then rates.rate_e12 * {{ pow10('functional.exponent') }}
            else cast(1000000000000 as hugeint) * {{ pow10('functional.exponent') }}
        end as rate_num,
        case
            when rates.to_currency = entities.functional_currency
                then cast(1000000000000 as hugeint) * {{ pow10('other.exponent') }}
            else rates.rate_e12 * {{ pow10('other.exponent') }}
        end as rate_den,
        row_number() over (
            partition by rates.entity_id, rates.rate_date, other.currency
            order by case when rates.to_currency = entities.functional_currency then 1 else 2 end
        ) as preference
    from {{ ref('can_fx_rates') }} as rates
    inner join {{ state('entities') }} as entities
        on rates.entity_id = entities.entity_id
        and (rates.to_currency = entities.functional_currency or rates.from_currency = entities.functional_currency)
    inner join {{ state('currencies') }} as functional on entities.functional_currency = functional.currency
    inner join {{ state('currencies') }} as other
        on other.currency = case when rates.to_currency = entities.functional_currency then rates.from_currency else rates.to_currency end
    where
        rates.rate_type = 'closing' and rates.rate_date = {{ period_last_day('rates.rate_date', 'rates.entity_id') }}
        and rates.rate_date <= {{ as_of() }}
        -- the policy of the open item's own currency
        and {{ policy_value('revaluation', 'month_end', 'rates.entity_id', "'default'", 'other.currency') }} = 'month_end'
),

moved as (
    select
        entity_id, account_role, currency, coalesce(pool, account_role) as item, {{ period_last_day('posting_date') }} as month_end,
        cast(sum(amount_tc) as bigint) as amount_tc, cast(sum(amount_fc) as bigint) as amount_fc,
        max(customer_id) as customer_id
    from {{ ref('priced_legs') }}
    where
        currency <> functional_currency
        and account_role in ('{{ monetary_roles() | join("', '") }}')
    group by all
),

balances as (
    select
        closing.event_key, closing.entity_id, closing.currency, closing.functional_currency, closing.rate_date,
        closing.rate_num, closing.rate_den, moved.account_role, moved.item, max(moved.customer_id) as customer_id,
        cast(sum(moved.amount_tc) as bigint) as balance_tc,
        cast(sum(moved.amount_fc) as bigint) as balance_fc
    from closing
    inner join moved
        on closing.entity_id = moved.entity_id and closing.currency = moved.currency and closing.rate_date >= moved.month_end
    where closing.preference = 1
    group by all
),

revalued as (
    select
        *,
        {{ half_up('balance_tc * rate_num', 'rate_den') }} - balance_fc as difference,
        cast(null as varchar) as correlation_id
    from balances
    where balance_tc <> 0
),

entries as (
    select *, difference as amount, rate_date as posting_date, rate_date as accounting_date, 'fx.revalued' as event_type, 'revalued' as step from revalued
    union all
    select
        *, -difference as amount, {{ add_days('rate_date', 1) }} as posting_date, {{ add_days('rate_date', 1) }} as accounting_date,
        'fx.revaluation_reversed' as event_type, 'reversed' as step
    from revalued
),

named as (
    select
        *,
        md5(entity_id || '|' || step || '|' || cast(rate_date as varchar) || '|' || account_role || '|' || currency || '|' || item) as entry_id,
        cast(rate_date as varchar) || ' ' || currency as document_id,
        false as is_prior_period
    from entries
    where difference <> 0
)

select
    entry_id, event_key, event_type, entity_id, posting_date, {{ period_of('posting_date') }} as service_period, is_prior_period,
    'revaluation' as document_type, document_id, cast(null as varchar) as line_id, 1 as leg_no, account_role, currency,
    functional_currency, cast(0 as bigint) as amount_tc, item as pool, 'default' as product_family, customer_id,
    cast(null as varchar) as jurisdiction, cast(null as varchar) as tax_code, correlation_id, amount as amount_fc
from named
union all
select
    entry_id, event_key, event_type, entity_id, posting_date, {{ period_of('posting_date') }} as service_period, is_prior_period,
    'revaluation' as document_type, document_id, cast(null as varchar) as line_id, 2 as leg_no,
    case when difference > 0 then 'fx_gain' else 'fx_loss' end as account_role, currency,
    functional_currency, cast(0 as bigint) as amount_tc, cast(null as varchar) as pool, 'default' as product_family, customer_id,
    cast(null as varchar) as jurisdiction, cast(null as varchar) as tax_code, correlation_id, -amount as amount_fc
from named
