-- One row per entity, period and account role: the balance in functional currency and translated into the group's.
--
-- IAS 21: assets and liabilities at the closing rate of the period's last day (else the latest spot rate), income and
-- expense at the rate of each day or the period's average (policy reporting_income_rate), equity at the rate of its day.
-- What is left is the cumulative translation adjustment, a role of its own, so that every period sums to nil. A period
-- of which a rate is missing, and all after it, show no amounts (is_translated false): nothing is guessed.
{% set group = var('group_currency', 'USD') %}
with entities as (
    select
        entities.entity_id, entities.functional_currency,
        {{ pow10('functional.exponent') }} as functional_unit, {{ pow10('reporting.exponent') }} as reporting_unit,
        policies.reporting_income_rate
    from {{ state('entities') }} as entities
    inner join {{ state('currencies') }} as functional on entities.functional_currency = functional.currency
    inner join {{ state('currencies') }} as reporting on reporting.currency = '{{ group }}'
    inner join {{ ref('line_policies') }} as policies
        on entities.entity_id = policies.entity_id and policies.product_family = 'default'
        and entities.functional_currency = policies.currency
),

-- Reporting minor units = functional ones x num / den. The published direction multiplies, the other divides.
rates as (
    select
        rates.entity_id, rates.rate_type, rates.rate_date, 1 as preference,
        rates.rate_e12 * entities.reporting_unit as num, cast(1000000000000 as hugeint) * entities.functional_unit as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities on rates.entity_id = entities.entity_id and rates.from_currency = entities.functional_currency
    where rates.to_currency = '{{ group }}' and entities.functional_currency <> '{{ group }}'
    union all
    select
        rates.entity_id, rates.rate_type, rates.rate_date, 2 as preference,
        cast(1000000000000 as hugeint) * entities.reporting_unit as num, rates.rate_e12 * entities.functional_unit as den
    from {{ ref('can_fx_rates') }} as rates
    inner join entities on rates.entity_id = entities.entity_id and rates.to_currency = entities.functional_currency
    where rates.from_currency = '{{ group }}' and entities.functional_currency <> '{{ group }}'
    union all
    -- an entity that keeps its books in the group's currency
    select entity_id, 'spot' as rate_type, date '0001-01-01' as rate_date, 1 as preference, cast(1 as hugeint) as num, cast(1 as hugeint) as den
    from entities
    where functional_currency = '{{ group }}'
),

moved as (
    select
        entity_id, period, accounting_date, account_role,
        case
            when account_role in ('{{ income_roles() | join("', '") }}') then 'income'
            when account_role = 'opening_balance' then 'equity'
            else 'balance'
        end as kind,
        cast(sum(amount_fc) as bigint) as amount_fc
    from {{ ref('journal_lines') }}
    group by all
),

spans as (
    select entity_id, min(cast(substring(period, 1, 4) as integer) * 12 + cast(substring(period, 6, 2) as integer) - 1) as first_index
    from moved
    group by entity_id
),

numbered as (
    select
        spans.entity_id,
        spans.first_index + numbers.n as period_no,
        {{ period_name('spans.first_index + numbers.n') }} as period,
        {{ period_start('spans.first_index + numbers.n', 'spans.entity_id') }} as first_day,
        least({{ add_days(period_start('spans.first_index + numbers.n + 1', 'spans.entity_id'), -1) }}, {{ as_of() }}) as last_day
    from spans
    cross join (select {{ each_integer(0, 1200) }} as n) as numbers
    where spans.first_index + numbers.n <= {{ period_index(as_of(), 'spans.entity_id') }}
),

closing_rates as (
    select numbered.entity_id, numbered.period, rates.num, rates.den
    from numbered
    inner join rates on numbered.entity_id = rates.entity_id and numbered.last_day >= rates.rate_date
    where rates.rate_type = 'spot' or (rates.rate_type = 'closing' and rates.rate_date = numbered.last_day)
    qualify row_number() over (
        partition by numbered.entity_id, numbered.period order by rates.rate_type asc, rates.preference asc, rates.rate_date desc
    ) = 1
),

average_rates as (
    select numbered.entity_id, numbered.period, rates.num, rates.den
    from numbered
    inner join rates
        on numbered.entity_id = rates.entity_id and rates.rate_type = 'average'
        and rates.rate_date between numbered.first_day and numbered.last_day
    qualify row_number() over (
        partition by numbered.entity_id, numbered.period order by rates.preference asc, rates.rate_date desc
    ) = 1
),

days as (
    select distinct entity_id, accounting_date from moved where kind <> 'balance'
),

day_rates as (
    select days.entity_id, days.accounting_date, rates.num, rates.den
    from days
    inner join rates on days.entity_id = rates.entity_id and rates.rate_type = 'spot' and days.accounting_date >= rates.rate_date
    qualify row_number() over (
        partition by days.entity_id, days.accounting_date order by rates.preference asc, rates.rate_date desc
    ) = 1
),

-- Income, expense and equity: translated once, on their way in.
flows as (
    select
        moved.entity_id, moved.period, moved.account_role, moved.kind,
        entities.reporting_income_rate = 'average' and moved.kind = 'income' and entities.functional_currency <> '{{ group }}' as is_average,
        case
            when entities.reporting_income_rate = 'average' and moved.kind = 'income' and entities.functional_currency <> '{{ group }}'
                then cast(null as date)
            else moved.accounting_date
        end as accounting_date,
        cast(sum(moved.amount_fc) as bigint) as amount_fc
    from moved
    inner join entities on moved.entity_id = entities.entity_id
    where moved.kind <> 'balance'
    group by all
),

translated_flows as (
    select
        flows.entity_id, flows.period, flows.account_role, flows.kind, flows.amount_fc,
        case
            when flows.is_average then {{ half_up('flows.amount_fc * averages.num', 'averages.den') }}
            else {{ half_up('flows.amount_fc * day_rates.num', 'day_rates.den') }}
        end as amount_rc
    from flows
    left join average_rates as averages on flows.entity_id = averages.entity_id and flows.period = averages.period
    left join day_rates on flows.entity_id = day_rates.entity_id and flows.accounting_date = day_rates.accounting_date
),

movements as (
    select entity_id, period, account_role, kind, amount_fc, cast(null as bigint) as amount_rc, false as is_missing
    from moved
    where kind = 'balance'
    union all
    select entity_id, period, account_role, kind, amount_fc, amount_rc, amount_rc is null as is_missing from translated_flows
),

by_period as (
    select
        entity_id, period, account_role, kind,
        cast(sum(amount_fc) as bigint) as amount_fc, cast(sum(amount_rc) as bigint) as amount_rc, bool_or(is_missing) as is_missing
    from movements
    group by all
),

roles as (
    select entity_id, account_role, kind, min(period) as first_period from by_period group by all
),

filled as (
    select
        numbered.entity_id, numbered.period, numbered.period_no, roles.account_role, roles.kind,
        cast(sum(coalesce(by_period.amount_fc, 0)) over so_far as bigint) as closing_fc,
        cast(sum(coalesce(by_period.amount_rc, 0)) over so_far as bigint) as carried_rc,
        coalesce(by_period.is_missing, false) as is_missing
    from numbered
    inner join roles on numbered.entity_id = roles.entity_id and numbered.period >= roles.first_period
    left join by_period
        on numbered.entity_id = by_period.entity_id and numbered.period = by_period.period
        and roles.account_role = by_period.account_role
    window so_far as (
        partition by numbered.entity_id, roles.account_role order by numbered.period_no rows between unbounded preceding and current row
    )
),

judged as (
    select
        filled.*,
        case when filled.kind = 'balance' then {{ half_up('filled.closing_fc * closing.num', 'closing.den') }} else filled.carried_rc end as rc,
        -- a period without its closing rate is not translated; income without a rate spoils all later periods
        not coalesce(bool_or(filled.is_missing) over (
            partition by filled.entity_id order by filled.period_no range between unbounded preceding and current row
        ), false) and closing.num is not null as is_translated
    from filled
    left join closing_rates as closing on filled.entity_id = closing.entity_id and filled.period = closing.period
),

with_residual as (
    select entity_id, period, period_no, account_role, kind, closing_fc, case when is_translated then rc end as closing_rc, is_translated
    from judged
    union all
    select
        entity_id, period, period_no, 'cumulative_translation_adjustment' as account_role, 'residual' as kind, 0 as closing_fc,
        case when bool_and(is_translated) then cast(-sum(rc) as bigint) end as closing_rc, bool_and(is_translated) as is_translated
    from judged
    group by entity_id, period, period_no
)

select
    balances.entity_id,
    balances.period,
    balances.account_role,
    balances.kind,
    entities.functional_currency,
    balances.closing_fc,
    '{{ group }}' as reporting_currency,
    balances.closing_rc,
    balances.closing_rc - coalesce(lag(balances.closing_rc) over (
        partition by balances.entity_id, balances.account_role order by balances.period_no
    ), 0) as activity_rc,
    balances.is_translated
from with_residual as balances
inner join entities on balances.entity_id = entities.entity_id
