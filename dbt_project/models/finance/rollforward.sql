-- One row per roll-forward, entity, period and line, in functional currency and the account's natural sign.
with codes as (
    {{ recon_rollforward_codes() }}
),

shapes as (
    {{ recon_rollforward_lines() }}
),

booked as (
    select
        entity_id,
        posting_period as period,
        functional_currency as currency,
        account_role,
        event_type,
        prior_period,
        sum(amount_fc) as amount
    from {{ booked_lines() }}
    where posting_period <= {{ recon_month(as_of_date(), 'entity_id') }}
    group by entity_id, posting_period, functional_currency, account_role, event_type, prior_period
),

-- Receivables are booked gross and clearing net of fees: the part of the other account is a line of its own.
moved as (
    select
        codes.code,
        booked.entity_id,
        booked.period,
        booked.currency,
        case
            when booked.prior_period then 80
            else {{ recon_rollforward_line('codes.code', 'booked.event_type') }}
        end as line_no,
        codes.sign * booked.amount as amount
    from booked
    inner join codes on booked.account_role = codes.account_role
    union all
    select
        part.code,
        booked.entity_id,
        booked.period,
        booked.currency,
        part.line_no,
        part.factor * booked.amount as amount
    from booked
    inner join (
        select
            'AR' as code,
            'tax_liability' as account_role,
            'invoice.posted' as event_type,
            25 as line_no,
            -1 as factor
        union all
        select
            'AR' as code,
            'tax_liability' as account_role,
            'invoice.posted' as event_type,
            20 as line_no,
            1 as factor
        union all
        select
            'CC' as code,
            'fees' as account_role,
            'payment.settled' as event_type,
            25 as line_no,
            -1 as factor
        union all
        select
            'CC' as code,
            'fees' as account_role,
            'payment.settled' as event_type,
            20 as line_no,
            1 as factor
    ) as part
        on booked.account_role = part.account_role and booked.event_type = part.event_type
    where not booked.prior_period
),

movements as (
    select
        code,
        entity_id,
        period,
        line_no,
        sum(amount) as amount
    from moved
    group by code, entity_id, period, line_no
),

periods as (
    select
        periods.entity_id,
        periods.period,
        entities.functional_currency as currency
    from {{ state('periods') }} as periods
    inner join {{ state('entities') }} as entities on periods.entity_id = entities.entity_id
    where periods.start_date <= {{ as_of_date() }}
),

balances as (
    select
        codes.code,
        periods.entity_id,
        periods.period,
        coalesce(sum(case when movements.period < periods.period then movements.amount end), 0) as opening,
        coalesce(sum(movements.amount), 0) as closing
    from periods
    cross join codes
    left join movements
        on codes.code = movements.code and periods.entity_id = movements.entity_id and periods.period >= movements.period
    group by codes.code, periods.entity_id, periods.period
),

-- Booked less ERP on the accounts that the role answers for; a shared account counts with its owning role.
ledger as (
    select
        codes.code,
        periods.entity_id,
        periods.period,
        coalesce(sum(codes.sign * (activity.booked_amount - activity.erp_amount)), 0) as difference
    from periods
    cross join codes
    left join {{ ref('rec_gl_activity') }} as activity
        on codes.account_role = activity.owning_role
        and periods.entity_id = activity.entity_id
        and periods.period >= activity.period
    group by codes.code, periods.entity_id, periods.period
),

filled as (
    select
        shapes.code,
        periods.entity_id,
        periods.period,
        periods.currency,
        shapes.line_no,
        shapes.line_label,
        shapes.line_kind,
        cast(case shapes.line_kind
            when 'opening' then balances.opening
            when 'closing' then balances.closing
            when 'per_gl' then balances.closing - ledger.difference
            when 'difference' then ledger.difference
            else coalesce(movements.amount, 0)
        end as bigint) as amount
    from periods
    cross join shapes
    inner join balances
        on shapes.code = balances.code and periods.entity_id = balances.entity_id and periods.period = balances.period
    inner join ledger
        on shapes.code = ledger.code and periods.entity_id = ledger.entity_id and periods.period = ledger.period
    left join movements
        on shapes.code = movements.code
        and shapes.line_no = movements.line_no
        and periods.entity_id = movements.entity_id
        and periods.period = movements.period
)

select
    filled.code as rollforward_code,
    filled.period,
    filled.entity_id as entity_code,
    filled.currency,
    cast(currencies.exponent as integer) as minor_unit,
    cast(filled.line_no as integer) as line_no,
    filled.line_label,
    filled.line_kind,
    {{ recon_to_major('filled.amount', 'currencies.exponent') }} as amount,
    'select * from finance.posting_line_trace where entity_code = ''' || filled.entity_id || ''' and period '
    || case when filled.line_kind = 'movement' then '= ''' else '<= ''' end || filled.period || ''' and account_role = '''
    || codes.account_role || '''' as detail_query
from filled
inner join codes on filled.code = codes.code
inner join {{ state('currencies') }} as currencies on filled.currency = currencies.currency
