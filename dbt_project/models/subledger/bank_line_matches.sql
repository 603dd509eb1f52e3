-- One row per bank line matched to a payout: by reference, by normalised reference, else by a unique amount within 5 days.
with lines as (
    select event_key, entity_id, bank_line_id, amount, currency, accounting_date, reference, {{ normalised('reference') }} as normalised_reference
    from {{ ref('can_bank_lines') }}
),

payouts as (
    select entity_id, payout_id, amount, currency, accounting_date, reference, {{ normalised('reference') }} as normalised_reference
    from {{ ref('can_payouts') }}
    where event_type = 'payout.paid'
),

by_reference as (
    select lines.event_key, payouts.payout_id, payouts.entity_id, 1 as pass
    from lines
    inner join payouts
        on lines.entity_id = payouts.entity_id and lines.currency = payouts.currency
        and (lines.reference = payouts.reference or lines.reference = payouts.payout_id)
    union all
    select lines.event_key, payouts.payout_id, payouts.entity_id, 2 as pass
    from lines
    inner join payouts
        on lines.entity_id = payouts.entity_id and lines.currency = payouts.currency
        and lines.normalised_reference = payouts.normalised_reference and lines.normalised_reference <> ''
),

referenced as (
    select event_key, payout_id, entity_id from by_reference
    qualify row_number() over (partition by event_key order by pass, payout_id) = 1
),

by_amount as (
    select
        lines.event_key, payouts.payout_id, payouts.entity_id,
        count(*) over (partition by lines.event_key) as line_choices,
        count(*) over (partition by payouts.entity_id, payouts.payout_id) as payout_choices
    from lines
    inner join payouts
        on lines.entity_id = payouts.entity_id and lines.currency = payouts.currency and lines.amount = payouts.amount
        and lines.accounting_date >= payouts.accounting_date
        and lines.accounting_date <= {{ add_days('payouts.accounting_date', 5) }}
    where
        lines.event_key not in (select referenced.event_key from referenced)
        and (payouts.entity_id, payouts.payout_id) not in (select referenced.entity_id, referenced.payout_id from referenced)
)

select event_key, payout_id from referenced
union all
select event_key, payout_id from by_amount where line_choices = 1 and payout_choices = 1
