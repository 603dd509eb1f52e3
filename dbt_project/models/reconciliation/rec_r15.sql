-- One row per booking, period and finding: booked journal lines against the members of posting batches (R15).
{{ config(tags=['after_posting']) }}

-- Amounts are gross (debits plus credits) in functional currency: signed sums of whole entries are zero and prove nothing.
with bookings as (
    select
        booking_id,
        entity_id,
        period,
        currency,
        sum(line_count) as line_count,
        sum(gross_fc) as gross_fc,
        sum(posted_lines) as posted_lines,
        sum(posted_gross_fc) as posted_gross_fc,
        sum(waiting_lines) as waiting_lines,
        max(explanation) as waits_for,
        sum(repeated_lines) as repeated_lines,
        sum(repeated_gross_fc) as repeated_gross_fc,
        sum(case when account_code is null then 1 else 0 end) as unmapped_groups
    from {{ ref('rec_booked_accounts') }}
    group by booking_id, entity_id, period, currency
),

booked as (
    select
        booked_line_id,
        amount_fc
    from {{ booked_lines() }}
),

members as (
    select * from {{ posting_members() }}
),

batches as (
    select * from {{ state('posting_batches') }}
    where period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

-- What a batch line says it sums up, against what it does.
line_sums as (
    select
        members.batch_key,
        members.batch_line_no,
        count(*) as member_count,
        sum(case when booked.booked_line_id is null then 1 else 0 end) as unknown_count,
        sum(coalesce(booked.amount_fc, 0)) as amount
    from members
    left join booked on members.booked_line_id = booked.booked_line_id
    group by members.batch_key, members.batch_line_no
),

line_differences as (
    select
        batches.entity_id,
        batches.period,
        entities.functional_currency as currency,
        lines.batch_key,
        lines.line_no,
        coalesce(sums.amount, 0) as members_amount,
        lines.debit_fc - lines.credit_fc as line_amount,
        coalesce(sums.unknown_count, 0) as unknown_count,
        coalesce(sums.member_count, 0) as found_count,
        lines.member_count
    from {{ state('posting_batch_lines') }} as lines
    inner join batches on lines.batch_key = batches.batch_key
    inner join {{ state('entities') }} as entities on batches.entity_id = entities.entity_id
    left join line_sums as sums on lines.batch_key = sums.batch_key and lines.line_no = sums.batch_line_no
),

recon_rows as (
    select
        entity_id,
        period,
        currency,
        booking_id as item_key,
        posted_gross_fc as left_amount,
        posted_gross_fc as right_amount,
        cast(null as varchar) as variance_class,
        booking_id as reference,
        cast(null as varchar) as explanation,
        true as is_match,
        posted_lines as match_count
    from bookings
    where posted_lines > 0
    union all
    select
        entity_id,
        period,
        currency,
        booking_id || '|unposted' as item_key,
        gross_fc - posted_gross_fc as left_amount,
        0 as right_amount,
        case
            when unmapped_groups > 0 then 'mapping_missing'
            when posted_lines = 0 or posted_lines + waiting_lines = line_count then 'timing_in_transit'
            else 'missing_right'
        end as variance_class,
        booking_id as reference,
        cast(line_count - posted_lines as varchar) || ' of ' || cast(line_count as varchar)
        || ' booked lines are in no posting batch.' || coalesce(' ' || waits_for, '') as explanation,
        false as is_match,
        0 as match_count
    from bookings
    where posted_lines < line_count
    union all
    select
        entity_id,
        period,
        currency,
        booking_id || '|repeated' as item_key,
        0 as left_amount,
        repeated_gross_fc as right_amount,
        'duplicate' as variance_class,
        booking_id as reference,
        cast(repeated_lines as varchar) || ' booked lines are in more than one posting batch.' as explanation,
        false as is_match,
        0 as match_count
    from bookings
    where repeated_lines > 0
    union all
    select
        entity_id,
        period,
        currency,
        batch_key || '|' || cast(line_no as varchar) as item_key,
        members_amount as left_amount,
        line_amount as right_amount,
        case when unknown_count > 0 then 'missing_left' else 'amount' end as variance_class,
        batch_key as reference,
        'Batch line ' || cast(line_no as varchar) || ' sums up ' || cast(member_count as varchar) || ' lines; '
        || cast(found_count - unknown_count as varchar) || ' booked lines stand behind it.' as explanation,
        false as is_match,
        0 as match_count
    from line_differences
    where members_amount <> line_amount or found_count <> member_count or unknown_count > 0
),

shaped as (
    select
        *,
        case when variance_class in ('duplicate', 'missing_left') then cast(null as varchar) else reference end as left_reference,
        case when variance_class in ('duplicate', 'missing_left') or is_match then reference end as right_reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id,
        cast(null as varchar) as expected_clear_period,
        cast(null as varchar) as erp_document
    from recon_rows
)

{{ recon_shape('R15', 'shaped') }}
