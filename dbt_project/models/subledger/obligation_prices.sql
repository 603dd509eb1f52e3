-- One row per obligation and contract version (event): its allocated transaction price from that day on.
select
    states.entity_id,
    states.contract_id,
    states.line_id,
    obligations.currency,
    states.step as version_no,
    states.occurred_on as valid_from,
    states.event_key,
    states.price as allocated_amount,
    states.recognised,
    obligations.is_cancellable
from {{ ref('obligation_states') }} as states
inner join {{ ref('contract_obligations') }} as obligations
    on states.contract_no = obligations.contract_no and states.line_id = obligations.line_id
where states.is_active
