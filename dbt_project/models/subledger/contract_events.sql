-- One row per event of a contract in the order of facts: book, amend, estimate, perform. contract_no numbers contracts;
-- occurred_on is the day of the new terms, posting_date where it books (later if that period was closed).
with events as (
    select
        entity_id, contract_id, 'book' as kind, event_key, {{ fact_order() }}, is_prior_period,
        cast(null as varchar) as amendment_kind, false as is_at_ssp, true as is_distinct, variable_amount
    from ({{ posted('can_contracts') }}) as contracts
    qualify row_number() over (partition by entity_id, contract_id order by version, {{ fact_order() }}) = 1
    union all
    select
        entity_id, contract_id, 'amend' as kind, event_key, {{ fact_order() }}, is_prior_period,
        kind as amendment_kind,
        -- an error that is corrected is no modification: the lines named take their terms, nothing is re-allocated
        is_at_ssp or coalesce(classification, '') = 'error_correction' as is_at_ssp,
        is_distinct, cast(null as bigint) as variable_amount
    from ({{ posted('can_amendments') }}) as amendments
    where contract_id is not null
    union all
    select
        entity_id, contract_id, 'estimate' as kind, event_key, {{ fact_order() }}, is_prior_period,
        null as amendment_kind, false as is_at_ssp, true as is_distinct, variable_amount
    from ({{ posted('can_estimates') }}) as estimates
    union all
    select
        entity_id, contract_id, 'perform' as kind, event_key, {{ fact_order() }}, is_prior_period,
        null as amendment_kind, false as is_at_ssp, true as is_distinct, cast(null as bigint) as variable_amount
    from ({{ posted('can_performance') }}) as performances
),

booked as (
    select entity_id, contract_id, min(posting_date) as posting_date from events where kind = 'book' group by 1, 2
),

known as (
    select
        events.* exclude (posting_date),
        greatest(events.posting_date, booked.posting_date) as posting_date
    from events
    inner join booked on events.entity_id = booked.entity_id and events.contract_id = booked.contract_id
)

select
    cast(dense_rank() over (order by entity_id, contract_id) as integer) as contract_no,
    -- the booking comes first, whatever its time of day
    cast(row_number() over (
        partition by entity_id, contract_id order by kind <> 'book', {{ fact_order() }}
    ) as integer) as step,
    entity_id,
    contract_id,
    kind,
    event_key,
    accounting_date as occurred_on,
    posting_date,
    time,
    sequence,
    event_id,
    is_prior_period,
    amendment_kind,
    is_at_ssp,
    is_distinct,
    variable_amount
from known
