-- One row per contract, or per document without one, at the cut-off, in transaction currency: contract liability or asset,
-- the liability's part that is earned within twelve months, and the remaining performance obligation (RPO).
--
-- Revenue still to come takes from the liability in order of its dates; what has no date is current (nobody has the right
-- to put it off). RPO is the price not yet recognised of contracts that cannot be cancelled.
{% set horizon = add_months(add_days(as_of(), 1), 12) %}
with positions as (
    select
        entity_id, currency, functional_currency,
        case
            when open_item like '%|contract %' then 'contract' when open_item like 'advance|%' then 'payment' else document_type
        end as source_type,
        case
            when open_item like '%|contract %' then split_part(open_item, '|contract ', 2)
            when open_item like 'advance|%' then substring(open_item, 9)
            else document_id
        end as source_id,
        max(customer_id) as customer_id,
        cast(-sum(case when account_role = 'deferred_revenue' then amount_tc else 0 end) as bigint) as liability,
        cast(sum(case when account_role = 'contract_asset' then amount_tc else 0 end) as bigint) as asset,
        cast(-sum(case when account_role = 'deferred_revenue' then amount_fc else 0 end) as bigint) as liability_fc
    from {{ ref('journal_lines') }}
    where account_role in ('deferred_revenue', 'contract_asset')
    group by all
),

-- Revenue to come, by the schedule as it stands.
upcoming as (
    select
        entity_id, currency, functional_currency,
        case when treatment = 'obligation' then 'contract' else document_type end as source_type,
        case when treatment = 'obligation' then contract_id else document_id end as source_id,
        max(customer_id) as customer_id,
        cast(sum(case when recognition_date < {{ horizon }} then amount else 0 end) as bigint) as within_year,
        cast(sum(amount) as bigint) as dated
    from {{ ref('revenue_schedule') }}
    -- what is paused has no date
    where recognition_date > {{ as_of() }} and recognition_date < date '9999-01-01' and treatment <> 'pending'
    group by all
),

prices as (
    select
        states.entity_id, states.contract_id, states.line_id,
        cast(arg_max(states.price, states.step) as bigint) as price
    from {{ ref('obligation_states') }} as states
    where states.posting_date <= {{ as_of() }}
    group by all
),

earned as (
    select entity_id, contract_id, contract_line_id as line_id, amount
    from {{ ref('revenue_schedule') }}
    where treatment = 'obligation' and recognition_date <= {{ as_of() }}
    union all
    -- what a right to invoice has earned
    select lines.entity_id, lines.contract_id, obligations.line_id, lines.net_amount as amount
    from {{ ref('document_lines') }} as lines
    inner join {{ ref('contract_obligations') }} as obligations
        on lines.entity_id = obligations.entity_id and lines.contract_id = obligations.contract_id
        and (lines.contract_line_id = obligations.line_id or (lines.contract_line_id is null and obligations.line_no = 1))
    where lines.treatment = 'revenue' and obligations.recognition = 'as_invoiced' and lines.posting_date <= {{ as_of() }}
),

recognised as (
    select entity_id, contract_id, line_id, cast(sum(amount) as bigint) as amount
    from earned
    group by entity_id, contract_id, line_id
),

remaining as (
    select
        prices.entity_id, prices.contract_id as source_id, obligations.currency, obligations.functional_currency,
        max(obligations.customer_id) as customer_id,
        cast(sum(prices.price - coalesce(recognised.amount, 0)) as bigint) as rpo
    from prices
    inner join {{ ref('contract_obligations') }} as obligations
        on prices.entity_id = obligations.entity_id and prices.contract_id = obligations.contract_id and prices.line_id = obligations.line_id
    left join recognised
        on prices.entity_id = recognised.entity_id and prices.contract_id = recognised.contract_id and prices.line_id = recognised.line_id
    where not obligations.is_cancellable
    group by prices.entity_id, prices.contract_id, obligations.currency, obligations.functional_currency
),

sources as (
    select entity_id, currency, functional_currency, source_type, source_id, customer_id from positions where liability <> 0 or asset <> 0
    union all
    select entity_id, currency, functional_currency, 'contract' as source_type, source_id, customer_id from remaining where rpo <> 0
),

named as (
    select entity_id, currency, functional_currency, source_type, source_id, max(customer_id) as customer_id
    from sources
    group by entity_id, currency, functional_currency, source_type, source_id
),

measured as (
    select
        named.*,
        coalesce(positions.liability, 0) as liability,
        coalesce(positions.asset, 0) as asset,
        coalesce(positions.liability_fc, 0) as liability_fc,
        coalesce(upcoming.within_year, 0) as within_year,
        coalesce(upcoming.dated, 0) as dated,
        case when named.source_type = 'contract' then coalesce(remaining.rpo, 0) else 0 end as rpo
    from named
    left join positions
        on named.entity_id = positions.entity_id and named.currency = positions.currency
        and named.source_type = positions.source_type and named.source_id = positions.source_id
    left join upcoming
        on named.entity_id = upcoming.entity_id and named.currency = upcoming.currency
        and named.source_type = upcoming.source_type and named.source_id = upcoming.source_id
    left join remaining
        on named.entity_id = remaining.entity_id and named.currency = remaining.currency
        and named.source_type = 'contract' and named.source_id = remaining.source_id
)

select
    entity_id,
    source_type,
    source_id,
    customer_id,
    currency,
    functional_currency,
    {{ as_of() }} as as_of,
    liability,
    asset,
    -- later: what is left of the liability when the year's revenue, and that without a date, has taken from it
    liability - greatest(least(liability, dated) - within_year, 0) as liability_current,
    greatest(least(liability, dated) - within_year, 0) as liability_non_current,
    liability_fc,
    {{ half_up('cast(liability_fc as hugeint) * greatest(least(liability, dated) - within_year, 0)', 'greatest(liability, 1)') }}
        as liability_non_current_fc,
    rpo,
    case when rpo = 0 then 0 else within_year end as rpo_within_year,
    case when rpo = 0 then 0 else dated - within_year end as rpo_later,
    case when rpo = 0 then 0 else rpo - dated end as rpo_undated
from measured
