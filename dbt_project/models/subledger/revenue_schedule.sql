-- One row per document line or obligation, segment, service period and posting date: the revenue recognised then.
-- amount is net of discounts and excludes tax; every period is listed, also those after the cut-off. is_over_time: an entry
-- of its own (revenue.recognised) books it, not the event that it comes from.
{{ config(materialized='view') }}

select
    entity_id, document_type, document_id, document_line_id,
    cast(null as varchar) as contract_id, cast(null as varchar) as contract_line_id,
    line_no, segment_no, part_no, period, service_period, recognition_date, currency, functional_currency,
    amount, discount_amount, amount_fc, product_family, customer_id, correlation_id, event_key, recorded_time,
    at_once, treatment, rate_num, rate_den,
    not at_once or treatment = 'pending' as is_over_time
from {{ ref('document_schedule') }}
union all
select
    entity_id, document_type, document_id, cast(null as varchar) as document_line_id,
    contract_id, contract_line_id,
    line_no, 1 as segment_no, 0 as part_no, period, service_period, recognition_date, currency, functional_currency,
    amount, 0 as discount_amount, amount_fc, product_family, customer_id, correlation_id, event_key,
    cast(null as timestamp) as recorded_time,
    true as at_once, 'obligation' as treatment, cast(null as hugeint) as rate_num, cast(null as hugeint) as rate_den,
    is_over_time
from {{ ref('contract_schedule') }}
