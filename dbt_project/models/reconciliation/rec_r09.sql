-- One row per processor account balance and explanation, per month end: clearing against the processor's balance (R9).
{#- Its statements need the period register, which booking fills. -#}
{{ config(tags=['after_posting']) }}

with clearing_lines as (
    select
        entity_id,
        currency,
        accounting_date,
        amount_tc
    from {{ ref('journal_lines') }}
    where account_role = 'processor_clearing' and accounting_date <= {{ as_of_date() }}
),

reports as (
    select *
    from {{ ref('can_balances_reported') }}
    where system = 'processor' and accounting_date <= {{ as_of_date() }}
),

daily as (
    select
        entity_id,
        currency,
        accounting_date,
        sum(amount_tc) as amount
    from clearing_lines
    group by entity_id, currency, accounting_date
),

first_days as (
    select
        entity_id,
        min(accounting_date) as first_day
    from daily group by entity_id
),

report_days as (
    select
        entity_id,
        {{ recon_month('accounting_date') }} as period,
        max(accounting_date) as cut_off
    from reports
    group by entity_id, {{ recon_month('accounting_date') }}
),

-- The last statement of each account and currency in a month stands, also if another account was stated later.
last_reports as (
    select
        entity_id,
        {{ recon_month('accounting_date') }} as period,
        currency,
        accounting_date,
        balance
    from reports
    qualify row_number() over (
        partition by entity_id, {{ recon_month('accounting_date') }}, currency, account
        order by accounting_date desc, time desc, event_id desc
    ) = 1
),

currency_cut_offs as (
    select
        entity_id,
        period,
        currency,
        max(accounting_date) as cut_off
    from last_reports
    group by entity_id, period, currency
),

-- Balances are compared on the last day that the processor reported in a month: of the currency, or of any if it did not
-- report that one. A month that has ended without a report is compared too, with nothing: silence is not agreement.
cut_offs as (
    select
        entity_id,
        period,
        cut_off,
        true as is_reported
    from report_days
    union all
    select
        periods.entity_id,
        periods.period,
        {{ add_days('periods.end_date_exclusive', '-1') }} as cut_off,
        false as is_reported
    from {{ state('periods') }} as periods
    inner join first_days on periods.entity_id = first_days.entity_id
    left join report_days on periods.entity_id = report_days.entity_id and periods.period = report_days.period
    where
        report_days.entity_id is null
        and periods.end_date_exclusive > first_days.first_day
        and periods.end_date_exclusive <= {{ add_days(as_of_date(), '1') }}
),

reported as (
    select
        entity_id,
        period,
        currency,
        max(accounting_date) as cut_off,
        cast(sum(balance) as bigint) as amount
    from last_reports
    group by entity_id, period, currency
),

booked as (
    select
        cut_offs.entity_id,
        cut_offs.period,
        max(coalesce(of_currency.cut_off, cut_offs.cut_off)) as cut_off,
        daily.currency,
        cast(sum(daily.amount) as bigint) as amount
    from cut_offs
    inner join daily on cut_offs.entity_id = daily.entity_id
    left join currency_cut_offs as of_currency
        on cut_offs.entity_id = of_currency.entity_id
        and cut_offs.period = of_currency.period
        and daily.currency = of_currency.currency
    where daily.accounting_date <= coalesce(of_currency.cut_off, cut_offs.cut_off)
    group by cut_offs.entity_id, cut_offs.period, daily.currency
),

balances as (
    select
        coalesce(b.entity_id, r.entity_id) as entity_id,
        coalesce(b.period, r.period) as period,
        coalesce(b.cut_off, r.cut_off) as cut_off,
        coalesce(b.currency, r.currency) as currency,
        coalesce(b.amount, 0) as left_amount,
        coalesce(r.amount, 0) as right_amount
    from booked as b
    full outer join reported as r
        on b.entity_id = r.entity_id and b.period = r.period and b.currency = r.currency
),

payout_ids as (
    select distinct
        entity_id,
        payout_id
    from {{ ref('can_payouts') }}
),

reporting_entities as (
    select distinct entity_id from {{ ref('rec_processor_txns') }} where is_reported
),

-- What makes the two differ for good: each explanation counts from its day on.
explanations as (
    select
        short.entity_id,
        short.currency,
        payouts.accounting_date as since,
        'fee' as variance_class,
        short.reference,
        -short.difference as amount,
        'Payout ' || short.reference || ' came short by a charge the processor kept; clearing still carries it.' as explanation
    from {{ ref('rec_r07') }} as short
    inner join {{ ref('can_payouts') }} as payouts
        on short.entity_id = payouts.entity_id and short.reference = payouts.payout_id and payouts.event_type = 'payout.paid'
    where short.variance_class = 'fee'
    union all
    -- On the processor's report, unknown to us: not a document, a payout or a dispute of ours.
    select
        txns.entity_id,
        txns.currency,
        txns.accounting_date as since,
        'missing_left' as variance_class,
        txns.object_id as reference,
        -txns.net as amount,
        'The processor reports transaction ' || txns.bt_id || '; no document of ours has it.' as explanation
    from {{ ref('rec_processor_txns') }} as txns
    left join payout_ids on txns.entity_id = payout_ids.entity_id and txns.object_id = payout_ids.payout_id
    where txns.is_reported and not txns.is_ours and payout_ids.payout_id is null
    union all
    -- Ours, but not on the report of an entity whose processor does report lines.
    select
        txns.entity_id,
        txns.currency,
        txns.accounting_date as since,
        'missing_right' as variance_class,
        txns.object_id as reference,
        txns.net as amount,
        'Document ' || txns.object_id || ' names a transaction that the processor does not report.' as explanation
    from {{ ref('rec_processor_txns') }} as txns
    inner join reporting_entities on txns.entity_id = reporting_entities.entity_id
    where txns.is_ours and not txns.is_reported
),

explained as (
    select
        balances.entity_id,
        balances.period,
        balances.cut_off,
        balances.currency,
        explanations.variance_class,
        explanations.reference,
        explanations.amount,
        explanations.explanation
    from balances
    inner join explanations
        on balances.entity_id = explanations.entity_id
        and balances.currency = explanations.currency
        and balances.cut_off >= explanations.since
    inner join report_days on balances.entity_id = report_days.entity_id and balances.period = report_days.period
    where explanations.amount <> 0
    union all
    select
        balances.entity_id,
        balances.period,
        balances.cut_off,
        balances.currency,
        'missing_right' as variance_class,
        balances.entity_id || '|' || balances.currency as reference,
        balances.left_amount as amount,
        'The processor has not reported a balance for ' || balances.period || '.' as explanation
    from balances
    inner join cut_offs
        on balances.entity_id = cut_offs.entity_id and balances.period = cut_offs.period and not cut_offs.is_reported
    where balances.left_amount <> 0
),

{{ recon_balance_rows('R9', 'balances', 'explained') }}
