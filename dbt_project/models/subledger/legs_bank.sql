-- One row per leg of a payout (paid, failed) and of a bank line that is matched to a payout, or to several.
{{ config(materialized='ephemeral') }}
with entities as (
    select entity_id, functional_currency from {{ state('entities') }}
),

payouts as (
    select
        payouts.*,
        entities.functional_currency,
        case payouts.event_type when 'payout.paid' then 1 else -1 end as direction,
        coalesce(rates.num, 1) as rate_num,
        coalesce(rates.den, 1) as rate_den
    from ({{ posted('can_payouts') }}) as payouts
    inner join entities on payouts.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as rates
        on payouts.entity_id = rates.entity_id and payouts.currency = rates.currency and payouts.accounting_date = rates.rate_date
),

paid_values as (
    select *, 'payout' as document_type, {{ at_rate('amount') }} as amount_fc from payouts
),

bank_lines as (
    select
        lines.* exclude (amount),  -- noqa: RF02
        matches.amount,
        matches.part_no,
        entities.functional_currency,
        'bank.line_posted' as event_type,
        'bank_line' as document_type,
        matches.payout_id,
        coalesce(rates.num, 1) as rate_num,
        coalesce(rates.den, 1) as rate_den
    from ({{ posted('can_bank_lines') }}) as lines
    inner join {{ ref('bank_line_matches') }} as matches on lines.event_key = matches.event_key
    inner join entities on lines.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as rates
        on lines.entity_id = rates.entity_id and lines.currency = rates.currency and lines.accounting_date = rates.rate_date
),

bank_values as (
    select *, {{ at_rate('amount') }} as amount_fc from bank_lines
)

{{ leg('paid_values', "'payouts_in_transit'", 'direction * amount', 'direction * amount_fc', is_release='direction < 0', leg_no=1,
    document_id='payout_id', pool="'payouts_in_transit|' || payout_id") }}
union all
{{ leg('paid_values', "'processor_clearing'", '-direction * amount', '-direction * amount_fc', is_release='direction > 0', leg_no=2, document_id='payout_id',
    pool="'processor_clearing|' || account") }}
union all
{{ leg('bank_values', "'cash'", 'amount', 'amount_fc', leg_no='2 * part_no - 1', document_id='bank_line_id') }}
union all
{{ leg('bank_values', "'payouts_in_transit'", '-amount', '-amount_fc', is_release='true', leg_no='2 * part_no', document_id='bank_line_id',
    pool="'payouts_in_transit|' || payout_id") }}
