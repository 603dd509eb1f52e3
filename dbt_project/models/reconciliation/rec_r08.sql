-- One row per payout or bank line, by month: payouts against what the bank received (R8).
{{ config(tags=['before_posting']) }}

with payouts as (
    select
        *,
        -- A payout that failed comes back; its reference is what the bank would have shown.
        coalesce({{ recon_normalised('reference') }}, {{ recon_normalised('payout_id') }}) as match_reference,
        greatest(accounting_date, coalesce(arrival_date, accounting_date)) as due_date
    from {{ ref('can_payouts') }}
    where accounting_date <= {{ as_of_date() }}
),

bank_lines as (
    select
        *,
        {{ recon_normalised('reference') }} as match_reference
    from {{ ref('can_bank_lines') }}
    where accounting_date <= {{ as_of_date() }}
),

-- A payout that fails in the month in which it was paid cancels out; later, the return stands in its own month.
payout_months as (
    select
        entity_id,
        payout_id,
        match_reference,
        currency,
        {{ recon_month('accounting_date') }} as month,
        min(accounting_date) as item_date,
        max(due_date) as due_date,
        sum(case when event_type = 'payout.failed' then -amount else amount end) as amount
    from payouts
    group by entity_id, payout_id, match_reference, currency, {{ recon_month('accounting_date') }}
    having sum(case when event_type = 'payout.failed' then -amount else amount end) <> 0
),

failed as (
    select distinct
        entity_id,
        payout_id
    from payouts where event_type = 'payout.failed'
),

-- A line over several payouts, or a payout in several lines: compared piece by piece, and one match.
pieces as (
    select
        lines.entity_id,
        lines.bank_line_id,
        found.payout_id,
        found.amount,
        found.payout_id || '|' || lines.bank_line_id as item_key,
        row_number() over (partition by lines.entity_id, found.group_key order by found.payout_id, lines.bank_line_id) as piece_no
    from {{ ref('bank_line_matches') }} as found
    inner join {{ ref('can_bank_lines') }} as lines on found.event_key = lines.event_key
    left join failed on lines.entity_id = failed.entity_id and found.payout_id = failed.payout_id
    where found.group_key is not null and failed.payout_id is null
    qualify max(lines.accounting_date) over (partition by lines.entity_id, found.group_key) <= {{ as_of_date() }}
),

grouped_lines as (
    select distinct
        entity_id,
        bank_line_id
    from pieces
),

grouped_payouts as (
    select distinct
        entity_id,
        payout_id
    from pieces
),

-- Pass 1: the bank line carries the payout's reference.
by_reference as (
    select
        bank_lines.entity_id,
        bank_lines.bank_line_id,
        min(payout_months.payout_id) as payout_id
    from bank_lines
    inner join payout_months
        on bank_lines.entity_id = payout_months.entity_id and bank_lines.match_reference = payout_months.match_reference
    left join grouped_lines
        on bank_lines.entity_id = grouped_lines.entity_id and bank_lines.bank_line_id = grouped_lines.bank_line_id
    where grouped_lines.bank_line_id is null
    group by bank_lines.entity_id, bank_lines.bank_line_id
),

-- Pass 2: same amount and currency within the tolerance of days, one to one, nothing that pass 1 took.
candidates as (
    select
        payout_months.entity_id,
        payout_months.payout_id,
        bank_lines.bank_line_id,
        row_number() over (
            partition by payout_months.entity_id, payout_months.payout_id order by bank_lines.accounting_date, bank_lines.bank_line_id
        ) as line_choice,
        row_number() over (
            partition by bank_lines.entity_id, bank_lines.bank_line_id order by payout_months.item_date, payout_months.payout_id
        ) as payout_choice
    from payout_months
    inner join bank_lines
        on payout_months.entity_id = bank_lines.entity_id
        and payout_months.currency = bank_lines.currency
        and payout_months.amount = bank_lines.amount
        and payout_months.item_date <= bank_lines.accounting_date
    inner join {{ ref('rec_policy') }} as p on p.recon_id = 'R8' and payout_months.entity_id = p.entity_id
    left join by_reference as taken_line
        on bank_lines.entity_id = taken_line.entity_id and bank_lines.bank_line_id = taken_line.bank_line_id
    left join by_reference as taken_payout
        on payout_months.entity_id = taken_payout.entity_id and payout_months.payout_id = taken_payout.payout_id
    left join grouped_lines
        on bank_lines.entity_id = grouped_lines.entity_id and bank_lines.bank_line_id = grouped_lines.bank_line_id
    left join grouped_payouts
        on payout_months.entity_id = grouped_payouts.entity_id and payout_months.payout_id = grouped_payouts.payout_id
    where
        taken_line.bank_line_id is null
        and taken_payout.payout_id is null
        and grouped_lines.bank_line_id is null
        and grouped_payouts.payout_id is null
        and {{ days_between('payout_months.due_date', 'bank_lines.accounting_date') }} <= p.tolerance_days
),

-- The n-th payout meets the n-th line of the same amount, oldest first; neither is taken twice.
by_amount as (
    select
        entity_id,
        bank_line_id,
        payout_id
    from candidates
    where line_choice = payout_choice
    qualify
        row_number() over (partition by entity_id, payout_id order by line_choice, bank_line_id) = 1
        and row_number() over (partition by entity_id, bank_line_id order by line_choice, payout_id) = 1
),

matches as (
    select
        entity_id,
        bank_line_id,
        payout_id
    from by_reference
    union all
    select
        entity_id,
        bank_line_id,
        payout_id
    from by_amount
),

left_side as (
    select
        payout_months.entity_id,
        payout_months.item_date,
        payout_months.currency,
        coalesce(pieces.item_key, payout_months.payout_id) as item_key,
        coalesce(pieces.amount, payout_months.amount) as amount,
        payout_months.payout_id as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from payout_months
    left join pieces on payout_months.entity_id = pieces.entity_id and payout_months.payout_id = pieces.payout_id
),

right_side as (
    select
        bank_lines.entity_id,
        bank_lines.accounting_date as item_date,
        bank_lines.currency,
        coalesce(pieces.item_key, matches.payout_id, 'bank|' || bank_lines.bank_line_id) as item_key,
        coalesce(pieces.amount, bank_lines.amount) as amount,
        bank_lines.bank_line_id as reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id
    from bank_lines
    left join matches
        on bank_lines.entity_id = matches.entity_id and bank_lines.bank_line_id = matches.bank_line_id
    left join pieces
        on bank_lines.entity_id = pieces.entity_id and bank_lines.bank_line_id = pieces.bank_line_id
),

pairs as (
    {{ recon_pairs('R8', 'left_side', 'right_side') }}
),

due as (
    select
        entity_id,
        payout_id,
        max(due_date) as due_date
    from payout_months group by entity_id, payout_id
),

classes as (
    select
        pairs.*,
        coalesce(pieces.piece_no > 1, false) as is_later_piece,
        due.due_date,
        failed.payout_id is not null as is_failed,
        {{ recon_class([
            ("not has_right and (failed.payout_id is not null or " ~ days_between('due.due_date', as_of_date()) ~ " <= coalesce(p.tolerance_days, 0))", 'timing_in_transit'),
            ("is_match and difference = 0 and " ~ recon_month('left_date') ~ " <> " ~ recon_month('right_date'), 'timing_in_transit'),
            ('not has_left and left_rows > 0', 'duplicate'),
        ]) }} as variance_class
    from pairs
    left join due on pairs.entity_id = due.entity_id and pairs.item_key = due.payout_id
    left join failed on pairs.entity_id = failed.entity_id and pairs.item_key = failed.payout_id
    left join pieces on pairs.entity_id = pieces.entity_id and pairs.item_key = pieces.item_key
    left join {{ ref('rec_policy') }} as p on p.recon_id = 'R8' and pairs.entity_id = p.entity_id
),

classified as (
    select
        *,
        coalesce(left_reference, case when variance_class = 'duplicate' then item_key end, right_reference) as reference,
        case
            when variance_class = 'timing_in_transit' and is_failed then 'Payout failed: paid and returned in different months.'
            when variance_class = 'timing_in_transit' and has_right
                then 'Paid out on ' || cast(left_date as varchar) || ', received on ' || cast(right_date as varchar) || '.'
            when variance_class = 'timing_in_transit' then 'Paid out, on its way to the bank at the cut-off.'
            when variance_class = 'missing_right' then 'Paid out, but the bank has not received it in time.'
            when variance_class = 'missing_left' then 'Bank receipt without a payout.'
            when variance_class = 'duplicate' then 'A second bank line names the same payout.'
            when variance_class = 'rounding' then 'Within tolerance.'
            when variance_class = 'wrong_currency' then 'Bank credits another currency.'
            else 'Bank amount differs from the payout.'
        end as explanation,
        case
            when variance_class = 'timing_in_transit'
                then {{ recon_month('coalesce(right_date, ' ~ add_days('due_date', '1') ~ ')') }}
        end as expected_clear_period
    from classes
)

{{ recon_items('R8', 'classified', match_count='case when c.is_later_piece then 0 else 1 end') }}
