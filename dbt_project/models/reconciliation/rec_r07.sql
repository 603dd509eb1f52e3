-- One row per payout: the amount paid out against the sum of its members (R7).
{{ config(tags=['before_posting']) }}

with payouts as (
    select * from {{ ref('can_payouts') }}
    where event_type = 'payout.paid' and accounting_date <= {{ as_of_date() }}
),

naming as (
    select entity_id, bt_payout_id, bt_id from {{ ref('can_payments') }}
    union
    select entity_id, bt_payout_id, bt_id from {{ ref('can_refunds') }}
    union
    select entity_id, bt_payout_id, bt_id from {{ ref('can_dispute_txns') }}
    union
    select entity_id, bt_payout_id, bt_id from {{ ref('can_balance_txns_reported') }} where coalesce(bt_type, 'charge') <> 'payout'
),

-- A payout lists its members; where it does not, they may name it.
payout_members as (
    select entity_id, payout_id, bt_id from {{ ref('can_payout_members') }}
    union
    select naming.entity_id, naming.bt_payout_id as payout_id, naming.bt_id
    from naming
    left join {{ ref('can_payout_members') }} as listed
        on naming.entity_id = listed.entity_id and naming.bt_payout_id = listed.payout_id
    where naming.bt_payout_id is not null and listed.payout_id is null
),

members as (
    select
        payout_members.entity_id,
        payout_members.payout_id,
        count(*) as member_count,
        count(transactions.bt_id) as known_count,
        sum(coalesce(transactions.net, 0)) as amount,
        min(transactions.currency) as currency
    from payout_members
    left join {{ ref('rec_processor_txns') }} as transactions
        on payout_members.entity_id = transactions.entity_id and payout_members.bt_id = transactions.bt_id
    group by payout_members.entity_id, payout_members.payout_id
),

left_side as (
    select
        entity_id,
        accounting_date as item_date,
        currency,
        payout_id as item_key,
        amount,
        payout_id as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from payouts
),

right_side as (
    select
        members.entity_id,
        payouts.accounting_date as item_date,
        coalesce(members.currency, payouts.currency) as currency,
        members.payout_id as item_key,
        members.amount,
        members.payout_id as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from members
    inner join payouts on members.entity_id = payouts.entity_id and members.payout_id = payouts.payout_id
),

pairs as (
    {{ recon_pairs('R7', 'left_side', 'right_side') }}
),

classes as (
    select
        pairs.*,
        members.member_count - members.known_count as unknown_count,
        {{ recon_class([
            ('has_right and not is_match and left_currency = right_currency and members.known_count < members.member_count', 'missing_right'),
            ('has_left and has_right and not is_match and left_currency = right_currency and difference < 0', 'fee'),
        ]) }} as variance_class
    from pairs
    left join members on pairs.entity_id = members.entity_id and pairs.item_key = members.payout_id
),

classified as (
    select
        *,
        coalesce(left_reference, right_reference) as reference,
        case variance_class
            when 'fee' then 'Paid out less than the members sum to: the processor kept a charge it does not name.'
            when 'missing_right'
                then case when has_right then cast(unknown_count as varchar) || ' members are not known.' else 'Payout without members.' end
            when 'rounding' then 'Within tolerance.'
            when 'wrong_currency' then 'Paid out in another currency than its members.'
            else 'Paid out more than the members sum to.'
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
)

{{ recon_items('R7', 'classified') }}
