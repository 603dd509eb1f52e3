-- One row per roll-forward, entity, currency and period: opening, movements and closing in transaction currency and the
-- account's natural sign (a liability is positive when it is owed). opening + movements = closing, closing = next opening.
with named_roles as (
    select 'ar' as name, 'accounts_receivable' as account_role, 1 as direction
    union all
    select 'deferred' as name, 'deferred_revenue' as account_role, -1 as direction
    union all
    select 'contract_asset' as name, 'contract_asset' as account_role, 1 as direction
    union all
    select 'contract_asset' as name, 'unbilled_receivable' as account_role, 1 as direction
    union all
    select 'clearing' as name, 'processor_clearing' as account_role, 1 as direction
    union all
    select 'in_transit' as name, 'payouts_in_transit' as account_role, 1 as direction
    union all
    select 'customer_balance' as name, 'customer_balance' as account_role, -1 as direction
    union all
    select 'tax' as name, 'tax_liability' as account_role, -1 as direction
    union all
    select 'disputes_receivable' as name, 'disputes_receivable' as account_role, 1 as direction
    union all
    select 'allowance' as name, 'allowance' as account_role, -1 as direction
),

-- One movement per entry: what the entry as a whole does to the account.
entries as (
    select
        lines.entity_id, named_roles.name, lines.currency, lines.period, lines.prior_period, lines.event_type, lines.entry_key,
        cast(sum(named_roles.direction * lines.amount_tc) as bigint) as amount
    from {{ ref('journal_lines') }} as lines
    inner join named_roles on lines.account_role = named_roles.account_role
    group by all
),

obligations as (
    select
        states.entity_id, obligations.currency, states.posting_date as moved_on, states.is_prior_period, 'added' as column_name,
        states.price - coalesce(lag(states.price) over (partition by states.contract_no, states.line_id order by states.step), 0) as amount
    from {{ ref('obligation_states') }} as states
    inner join {{ ref('contract_obligations') }} as obligations
        on states.contract_no = obligations.contract_no and states.line_id = obligations.line_id
    where not obligations.is_cancellable
    union all
    select
        movements.entity_id, movements.currency, movements.posting_date, movements.is_prior_period, 'recognised' as column_name,
        movements.amount + movements.refund_change as amount
    from {{ ref('contract_movements') }} as movements
    inner join {{ ref('contract_obligations') }} as obligations
        on movements.contract_no = obligations.contract_no and movements.line_id = obligations.line_id
    where movements.kind <> 'billing' and not obligations.is_cancellable and movements.posting_date <= {{ as_of() }}
    union all
    select
        lines.entity_id, lines.currency, lines.posting_date, lines.is_prior_period, 'recognised' as column_name, -lines.net_amount as amount
    from {{ ref('document_lines') }} as lines
    inner join {{ ref('contract_obligations') }} as obligations
        on lines.entity_id = obligations.entity_id and lines.contract_id = obligations.contract_id
        and (lines.contract_line_id = obligations.line_id or (lines.contract_line_id is null and obligations.line_no = 1))
    where lines.treatment = 'revenue' and obligations.recognition = 'as_invoiced' and not obligations.is_cancellable
),

moved as (
    select
        entity_id, name, currency, period,
        case
            when prior_period then 'prior_period'
            when event_type in ('revenue.recognised', 'performance.recorded', 'usage.rated', 'estimate.revised', 'amendment.booked') then 'recognised'
            when amount > 0 then 'added'
            else 'released'
        end as column_name,
        amount
    from entries
    union all
    select
        entity_id, 'rpo' as name, currency, {{ period_of('moved_on') }} as period,
        case when is_prior_period then 'prior_period' else column_name end as column_name,
        amount
    from obligations
    where moved_on <= {{ as_of() }}
),

by_period as (
    select
        entity_id, name, currency, period,
        coalesce(sum(amount) filter (where column_name = 'added'), 0) as added,
        coalesce(sum(amount) filter (where column_name = 'recognised'), 0) as recognised,
        coalesce(sum(amount) filter (where column_name = 'released'), 0) as released,
        coalesce(sum(amount) filter (where column_name = 'prior_period'), 0) as prior_period,
        sum(amount) as amount
    from moved
    group by 1, 2, 3, 4
),

spans as (
    select
        entity_id, name, currency,
        min(cast(substring(period, 1, 4) as integer) * 12 + cast(substring(period, 6, 2) as integer) - 1) as first_index
    from by_period
    group by 1, 2, 3
),

months as (
    select
        spans.entity_id, spans.name, spans.currency,
        {{ period_name('spans.first_index + numbers.n') }} as period
    from spans
    cross join (select {{ each_integer(0, 1200) }} as n) as numbers
    where spans.first_index + numbers.n <= {{ period_index(as_of(), 'spans.entity_id') }}
),

filled as (
    select
        months.entity_id, months.name, months.currency, months.period,
        coalesce(by_period.added, 0) as added,
        coalesce(by_period.recognised, 0) as recognised,
        coalesce(by_period.released, 0) as released,
        coalesce(by_period.prior_period, 0) as prior_period,
        sum(coalesce(by_period.amount, 0)) over (
            partition by months.entity_id, months.name, months.currency order by months.period
            rows between unbounded preceding and current row
        ) as closing,
        coalesce(by_period.amount, 0) as amount
    from months
    left join by_period
        on months.entity_id = by_period.entity_id and months.name = by_period.name
        and months.currency = by_period.currency and months.period = by_period.period
)

select
    entity_id,
    name,
    currency,
    period,
    cast(closing - amount as bigint) as opening,
    cast(added as bigint) as added,
    cast(recognised as bigint) as recognised,
    cast(released as bigint) as released,
    cast(0 as bigint) as fx,
    cast(prior_period as bigint) as prior_period,
    cast(closing as bigint) as closing
from filled
