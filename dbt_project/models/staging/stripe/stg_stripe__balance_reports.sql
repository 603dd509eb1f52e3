-- One row per (month, currency) of the processor's balance report, closing balance in minor units.
with staged as (
    {{ staged_object('stripe', 'balance_report', {
        'period': ['$.period', 'text'],
        'currency': ['$.currency', 'text'],
        'ending_balance': ['$.ending_balance', 'text'],
    }) }}
),

entities as (
    select * from {{ state('entities') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

dated as (
    select
        staged.*,
        {{ add_months("cast(staged.period || '-01' as date)", 1) }} as next_month
    from staged
)

select
    dated._source,
    dated._entity_id as entity_id,
    dated._landing_seq,
    dated._first_landed_at,
    dated._record_id,
    dated.period,
    {{ add_days('dated.next_month', -1) }} as period_end,
    {{ day_start_utc('dated.next_month', 'entities.time_zone') }} as period_end_at,
    upper(dated.currency) as currency,
    {{ major_to_minor('dated.ending_balance', 'currencies.exponent') }} as ending_balance
from dated
inner join entities on dated._entity_id = entities.entity_id
left join currencies on upper(dated.currency) = currencies.currency
