-- One row per bank line and payout that it settles: by reference, by normalised reference, by amount within the days that R8
-- tolerates, oldest first, else the one group of a few payouts that sums to the line, or of a few lines that sums to the payout.
{% set max_group = 8 -%}
with lines as (
    select event_key, entity_id, bank_line_id, amount, currency, accounting_date, reference, {{ normalised('reference') }} as normalised_reference
    from {{ ref('can_bank_lines') }}
),

payouts as (
    select
        entity_id, payout_id, amount, currency, accounting_date, reference, {{ normalised('reference') }} as normalised_reference,
        greatest(accounting_date, coalesce(arrival_date, accounting_date)) as due_date
    from {{ ref('can_payouts') }}
    where event_type = 'payout.paid'
),

failed as (
    select entity_id, payout_id from {{ ref('can_payouts') }} where event_type = 'payout.failed'
),

tolerated as (
    select
        entities.entity_id,
        cast(coalesce(
            max({{ recon_json_at('policy.value', "'$.R8.days'") }}), max(cast(configured.tolerance_days as varchar)), '5'
        ) as integer) as days
    from {{ state('entities') }} as entities
    left join {{ state('policy') }} as policy
        on entities.entity_id = policy.entity_id and policy.key = 'recon_tolerance'
        and policy.product_family is null and policy.currency is null
    left join {{ state('recon_policy') }} as configured on configured.recon_id = 'R8'
    group by entities.entity_id
),

by_reference as (
    select lines.event_key, payouts.payout_id, payouts.entity_id, 1 as pass, lines.amount = payouts.amount as is_amount
    from lines
    inner join payouts
        on lines.entity_id = payouts.entity_id and lines.currency = payouts.currency
        and (lines.reference = payouts.reference or lines.reference = payouts.payout_id)
    union all
    select lines.event_key, payouts.payout_id, payouts.entity_id, 2 as pass, lines.amount = payouts.amount as is_amount
    from lines
    inner join payouts
        on lines.entity_id = payouts.entity_id and lines.currency = payouts.currency
        and lines.normalised_reference = payouts.normalised_reference and lines.normalised_reference <> ''
),

-- A reference that several payouts share decides by the amount, or by all of them together.
shared as (
    select by_reference.event_key, by_reference.entity_id
    from by_reference
    inner join payouts on by_reference.entity_id = payouts.entity_id and by_reference.payout_id = payouts.payout_id
    inner join lines on by_reference.event_key = lines.event_key
    where by_reference.pass = 1 or by_reference.event_key not in (select exact.event_key from by_reference as exact where exact.pass = 1)
    group by by_reference.event_key, by_reference.entity_id
    having count(*) > 1 and sum(payouts.amount) = max(lines.amount) and not bool_or(by_reference.is_amount)
),

referenced as (
    select event_key, payout_id, entity_id from by_reference
    where event_key not in (select shared.event_key from shared)
    qualify row_number() over (partition by event_key order by pass asc, is_amount desc, payout_id asc) = 1
    union all
    select distinct by_reference.event_key, by_reference.payout_id, by_reference.entity_id
    from by_reference
    inner join shared on by_reference.event_key = shared.event_key
),

-- What no reference placed; a failed payout is not looked for.
open_lines as (
    select * from lines where amount > 0 and event_key not in (select referenced.event_key from referenced)
),

open_payouts as (
    select payouts.*, payouts.entity_id || '|' || payouts.payout_id as payout_key
    from payouts
    left join referenced on payouts.entity_id = referenced.entity_id and payouts.payout_id = referenced.payout_id
    left join failed on payouts.entity_id = failed.entity_id and payouts.payout_id = failed.payout_id
    where payouts.amount > 0 and referenced.payout_id is null and failed.payout_id is null
),

-- Near enough in time, of one sign.
near as (
    select
        open_lines.event_key, open_lines.bank_line_id, open_lines.amount as line_amount, open_lines.accounting_date as line_date,
        open_payouts.payout_id, open_payouts.amount as payout_amount, open_payouts.accounting_date as payout_date, open_payouts.payout_key
    from open_payouts
    inner join tolerated on open_payouts.entity_id = tolerated.entity_id
    inner join open_lines
        on open_payouts.entity_id = open_lines.entity_id and open_payouts.currency = open_lines.currency
        and open_payouts.accounting_date <= open_lines.accounting_date
        and {{ days_between('open_payouts.due_date', 'open_lines.accounting_date') }} <= tolerated.days
),

-- The n-th payout meets the n-th line of the same amount, oldest first; neither is taken twice.
by_amount as (
    select event_key, payout_id, payout_key
    from (
        select
            *,
            row_number() over (partition by payout_key order by line_date, bank_line_id) as line_choice,
            row_number() over (partition by event_key order by payout_date, payout_id) as payout_choice
        from near
        where line_amount = payout_amount
    ) as candidates
    where line_choice = payout_choice
    qualify
        row_number() over (partition by payout_key order by line_choice, bank_line_id) = 1
        and row_number() over (partition by event_key order by line_choice, payout_id) = 1
),

still_open as (
    select * from near
    where
        event_key not in (select by_amount.event_key from by_amount)
        and payout_key not in (select by_amount.payout_key from by_amount)
),

{{ subset_sums('payout_groups', 'still_open', 'event_key', 'line_amount', 'payout_key', 'payout_amount', max_group) }},

{{ subset_sums('line_groups', 'still_open', 'payout_key', 'payout_amount', 'event_key', 'line_amount', max_group) }},

grouped as (
    select still_open.event_key, still_open.payout_id
    from still_open
    inner join payout_groups on still_open.event_key = payout_groups.whole and still_open.payout_key = payout_groups.member
    union all
    select still_open.event_key, still_open.payout_id
    from still_open
    inner join line_groups on still_open.payout_key = line_groups.whole and still_open.event_key = line_groups.member
    where
        still_open.event_key not in (select payout_groups.whole from payout_groups)
        and still_open.payout_key not in (select payout_groups.member from payout_groups)
),

matched as (
    select event_key, payout_id from referenced
    union all
    select event_key, payout_id from by_amount
    union all
    select event_key, payout_id from grouped
),

paired as (
    select
        matched.*, lines.entity_id, lines.amount as line_amount, payouts.amount as payout_amount,
        count(*) over (partition by matched.event_key) as payout_count,
        count(*) over (partition by lines.entity_id, matched.payout_id) as line_count,
        sum(lines.amount) over (partition by lines.entity_id, matched.payout_id) as lines_amount
    from matched
    inner join lines on matched.event_key = lines.event_key
    inner join payouts on lines.entity_id = payouts.entity_id and matched.payout_id = payouts.payout_id
)

select
    event_key,
    payout_id,
    -- what of the line settles this payout
    case when payout_count > 1 then payout_amount else line_amount end as amount,
    cast(row_number() over (partition by event_key order by payout_id) as integer) as part_no,
    -- the pieces of one match: a line over several payouts, or a payout in several lines
    case
        when payout_count > 1 then event_key
        when line_count > 1 and lines_amount = payout_amount then payout_id
    end as group_key
from paired
