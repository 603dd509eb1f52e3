-- One row per movement of a contract's position: an invoice line that bills it, a voided one, or revenue of an obligation;
-- credit positive, with the position before and after. Billing above the expected consideration is refund liability.
with obligations as (
    select * from {{ ref('contract_obligations') }}
),

states as (
    select * from {{ ref('obligation_states') }}
),

billings as (
    select
        obligations.entity_id, obligations.contract_no, obligations.line_id, lines.event_key, lines.event_type, lines.posting_date, lines.accounting_date,
        documents.time, documents.sequence, documents.event_id, lines.is_prior_period, lines.document_type, lines.document_id,
        lines.line_id as document_line_id, lines.line_no, lines.net_amount + coalesce(unpaid.net_change, 0) as amount,
        lines.rate_num, lines.rate_den
    from {{ ref('document_lines') }} as lines
    inner join {{ ref('documents') }} as documents
        on lines.entity_id = documents.entity_id and lines.document_type = documents.document_type and lines.document_id = documents.document_id
    inner join obligations
        on lines.entity_id = obligations.entity_id and lines.contract_id = obligations.contract_id
        and coalesce(lines.contract_line_id, obligations.line_id) = obligations.line_id
    left join {{ ref('conditional_receipts') }} as unpaid
        on lines.entity_id = unpaid.entity_id and lines.document_type = unpaid.document_type and lines.document_id = unpaid.document_id
        and lines.line_id = unpaid.line_id and unpaid.is_opening
    where lines.treatment = 'contract'
    qualify row_number() over (
        partition by lines.entity_id, lines.document_type, lines.document_id, lines.line_id order by obligations.line_no
    ) = 1
),

voided as (
    select
        billings.entity_id, billings.contract_no, billings.line_id, effects.event_key, 'invoice.voided' as event_type, effects.posting_date,
        facts.effective_date as accounting_date, facts.time, coalesce(facts.sequence, '') as sequence, facts.id as event_id,
        coalesce(verdicts.is_prior_period, false) as is_prior_period, billings.document_type, billings.document_id,
        billings.document_line_id, billings.line_no, -effects.eff_net as amount, billings.rate_num, billings.rate_den
    from {{ ref('line_effects') }} as effects
    inner join billings
        on effects.document_type = billings.document_type and effects.document_id = billings.document_id
        and effects.line_id = billings.document_line_id
    inner join obligations
        on billings.contract_no = obligations.contract_no and billings.line_id = obligations.line_id
        and effects.entity_id = obligations.entity_id
    inner join {{ ref('events') }} as facts on effects.event_key = facts.event_key
    left join {{ ref('event_verdicts') }} as verdicts on effects.event_key = verdicts.event_key
    where effects.kind = 'void' and effects.eff_net <> 0
),

-- What a customer who can cancel pays later.
received as (
    select
        billings.entity_id, billings.contract_no, billings.line_id, receipts.event_key, receipts.event_type, receipts.posting_date,
        receipts.accounting_date, receipts.time, receipts.sequence, receipts.event_id, receipts.is_prior_period, billings.document_type,
        billings.document_id, billings.document_line_id, billings.line_no, receipts.net_change as amount, billings.rate_num, billings.rate_den
    from {{ ref('conditional_receipts') }} as receipts
    inner join billings
        on receipts.entity_id = billings.entity_id and receipts.document_type = billings.document_type
        and receipts.document_id = billings.document_id and receipts.line_id = billings.document_line_id
    where not receipts.is_opening
),

-- One movement per event and line.
billed as (
    select * exclude (amount), cast(sum(amount) as bigint) as amount
    from (
        select * from billings
        union all
        select * from voided
        union all
        select * from received
    ) as together
    group by all
),

-- Refund liability of an obligation: the share of what was billed that is not expected to be kept.
refund_steps as (
    select
        contract_no, line_id, event_key, posting_date, time, sequence, event_id, document_line_id, amount as billed,
        cast(null as bigint) as stated, cast(null as bigint) as expected
    from billed
    union all
    select
        contract_no, line_id, event_key, posting_date, time, sequence, event_id, null as document_line_id, 0 as billed,
        amount as stated, expected_amount as expected
    from states
    where is_active
),

refund_running as (
    select
        *,
        cast(sum(billed) over so_far as bigint) as billed_to_date,
        last_value(stated ignore nulls) over so_far as stated_now,
        last_value(expected ignore nulls) over so_far as expected_now
    from refund_steps
    window so_far as (
        partition by contract_no, line_id order by posting_date, time, sequence, event_id, document_line_id nulls first
        rows between unbounded preceding and current row
    )
),

refund_targets as (
    select
        *,
        case when coalesce(stated_now, 0) = 0 then 0 else {{ share('billed_to_date', '(stated_now - expected_now)', 'stated_now') }} end as target
    from refund_running
),

refund_changes as (
    select
        *,
        target - coalesce(lag(target) over (
            partition by contract_no, line_id order by posting_date, time, sequence, event_id, document_line_id nulls first
        ), 0) as refund_change
    from refund_targets
),

movements as (
    select
        billed.contract_no, billed.line_id, 'billing' as kind, billed.event_key, billed.event_key as entry_id, billed.event_type,
        billed.posting_date, billed.accounting_date, billed.time, billed.sequence, billed.event_id, billed.is_prior_period,
        {{ period_of('billed.accounting_date', 'billed.entity_id') }} as service_period,
        billed.document_type, billed.document_id, billed.document_line_id,
        billed.line_no as leg_line_no, billed.amount - coalesce(changes.refund_change, 0) as amount,
        coalesce(changes.refund_change, 0) as refund_change, billed.rate_num, billed.rate_den
    from billed
    left join refund_changes as changes
        on billed.contract_no = changes.contract_no and billed.line_id = changes.line_id and billed.event_key = changes.event_key
        and billed.document_line_id = changes.document_line_id
    union all
    select
        states.contract_no, states.line_id, 'event' as kind, states.event_key, states.event_key as entry_id, facts.type as event_type,
        states.posting_date, states.occurred_on, states.time, states.sequence, states.event_id, states.is_prior_period,
        {{ period_of('states.occurred_on', 'states.entity_id') }} as service_period,
        'contract' as document_type, states.contract_id as document_id, null as document_line_id,
        states.line_no as leg_line_no, -states.eff_revenue - coalesce(changes.refund_change, 0) as amount,
        coalesce(changes.refund_change, 0) as refund_change, null as rate_num, null as rate_den
    from states
    inner join {{ ref('events') }} as facts on states.event_key = facts.event_key
    left join refund_changes as changes
        on states.contract_no = changes.contract_no and states.line_id = changes.line_id and states.event_key = changes.event_key
        and changes.document_line_id is null
    where states.eff_revenue <> 0 or coalesce(changes.refund_change, 0) <> 0
    union all
    select
        parts.contract_no, parts.line_id, 'part' as kind, booked.event_key,
        md5(booked.event_key || '|' || parts.line_id || '|' || parts.service_period || '|' || cast(parts.recognised_on as varchar)) as entry_id,
        'revenue.recognised' as event_type, parts.recognised_on as posting_date, parts.recognised_on as accounting_date,
        timestamp '9999-12-31' as time, '' as sequence, '' as event_id,
        coalesce(bool_or(closed.period is not null), false) as is_prior_period,
        parts.service_period, 'contract' as document_type, booked.contract_id as document_id, null as document_line_id,
        0 as leg_line_no, -cast(sum(parts.amount) as bigint) as amount, 0 as refund_change, null as rate_num, null as rate_den
    from {{ ref('obligation_parts') }} as parts
    inner join {{ ref('contract_events') }} as booked on parts.contract_no = booked.contract_no and booked.kind = 'book'
    inner join {{ ref('events') }} as facts on booked.event_key = facts.event_key
    left join {{ ref('closed_periods') }} as closed
        on parts.service_period < {{ period_of('parts.recognised_on', 'booked.entity_id') }}
        and booked.entity_id = closed.entity_id and parts.service_period = closed.period
        and facts.recorded_time >= closed.closed_from and facts.recorded_time < closed.closed_to
    group by parts.contract_no, parts.line_id, booked.event_key, parts.service_period, parts.recognised_on, booked.contract_id
),

running as (
    select
        *,
        cast(sum(amount) over (
            partition by contract_no order by posting_date, time, sequence, event_id, kind, leg_line_no, line_id, entry_id
            rows between unbounded preceding and current row
        ) as bigint) as position_after
    from movements
)

select
    running.*,
    running.position_after - running.amount as position_before,
    obligations.entity_id,
    obligations.contract_id,
    obligations.customer_id,
    obligations.currency,
    obligations.functional_currency,
    obligations.product_family,
    obligations.correlation_id
from running
inner join obligations on running.contract_no = obligations.contract_no and running.line_id = obligations.line_id
