-- One row per obligation of a contract, ever: its key, family, policy and the lists of every window it was given.
with first_lines as (
    select
        contract_no, line_id, min(step) as first_step, arg_min(coalesce(product_family, 'default'), step) as product_family,
        arg_min(coalesce(kind, 'service'), step) as kind, arg_min(product_id, step) as product_id,
        max(minor_per_unit) as minor_per_unit
    from {{ ref('contract_event_lines') }}
    where action in ('add', 'replace')
    group by 1, 2
)

select
    first_lines.*,
    cast(row_number() over (partition by first_lines.contract_no order by first_lines.first_step, first_lines.line_id) as integer) as line_no,
    events.entity_id,
    events.contract_id,
    events.posting_date as booked_on,
    contracts.customer_id,
    contracts.currency,
    contracts.is_cancellable,
    contracts.correlation_id,
    policies.functional_currency,
    policies.recognition,
    policies.schedule_rounding as rounding,
    case when policies.rounding_unit = 'whole' then first_lines.minor_per_unit else 1 end as unit
from first_lines
inner join {{ ref('contract_events') }} as events on first_lines.contract_no = events.contract_no and events.kind = 'book'
inner join {{ ref('can_contracts') }} as contracts on events.event_key = contracts.event_key
inner join {{ ref('line_policies') }} as policies
    on events.entity_id = policies.entity_id and first_lines.product_family = policies.product_family
    and contracts.currency = policies.currency
