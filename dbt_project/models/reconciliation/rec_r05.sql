-- One row per processor transaction and use of it: payments and refunds against the processor's own report (R5).
{{ config(tags=['before_posting']) }}

-- Every payment event counts, also one that the subledger holds back because its transaction was used before.
with left_side as (
    select
        entity_id,
        accounting_date as item_date,
        bt_currency as currency,
        bt_id as item_key,
        bt_gross as amount,
        payment_id as reference,
        customer_id,
        correlation_id,
        time,
        sequence,
        event_id
    from {{ ref('can_payments') }}
    where bt_id is not null and accounting_date <= {{ as_of_date() }}
    union all
    select
        entity_id,
        accounting_date as item_date,
        bt_currency as currency,
        bt_id as item_key,
        bt_gross as amount,
        refund_id as reference,
        cast(null as varchar) as customer_id,
        correlation_id,
        time,
        sequence,
        event_id
    from {{ ref('can_refunds') }}
    where bt_id is not null and accounting_date <= {{ as_of_date() }}
),

-- A report line without a type is a charge or a refund; payouts, disputes and adjustments have their own reconciliations.
right_side as (
    select
        entity_id,
        accounting_date as item_date,
        bt_currency as currency,
        bt_id as item_key,
        bt_gross as amount,
        coalesce(object_id, bt_id) as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from {{ ref('can_balance_txns_reported') }}
    where coalesce(bt_type, 'charge') in ('charge', 'refund') and accounting_date <= {{ as_of_date() }}
),

pairs as (
    {{ recon_pairs('R5', 'left_side', 'right_side', left_order='item_date, time, sequence, event_id') }}
),

classes as (
    select
        *,
        {{ recon_class([
            ('not has_right and right_rows > 0', 'duplicate'),
            ('not has_left and left_rows > 0', 'duplicate'),
            ("is_match and difference = 0 and " ~ recon_month('left_date') ~ " <> " ~ recon_month('right_date'), 'timing_in_transit'),
        ]) }} as variance_class
    from pairs
),

classified as (
    select
        *,
        coalesce(left_reference, right_reference) as reference,
        case variance_class
            when 'duplicate' then 'A second document uses a processor transaction that another one already has.'
            when 'missing_right' then 'Payment or refund without a transaction on the processor''s report.'
            when 'missing_left' then 'Processor transaction without a payment or refund.'
            when 'timing_in_transit' then 'Reported by the processor in another month than it was booked in.'
            when 'rounding' then 'Within tolerance.'
            when 'wrong_currency' then 'Settlement currency differs from the processor''s report.'
            else 'Gross amount differs from the processor''s report.'
        end as explanation,
        case
            when variance_class = 'timing_in_transit' then {{ recon_month('greatest(left_date, right_date)') }}
        end as expected_clear_period
    from classes
)

{{ recon_items('R5', 'classified') }}
