-- One row per usage line of an invoice: how much accrued (unbilled) usage of its item and window it bills.
with lines as (
    select
        lines.entity_id, lines.document_id, lines.line_id, lines.line_no, lines.subscription_item_id, lines.service_start, lines.service_end,
        lines.net_amount, lines.posting_date, lines.accounting_date, documents.time, documents.sequence, documents.event_id
    from {{ ref('document_lines') }} as lines
    inner join {{ ref('documents') }} as documents
        on lines.entity_id = documents.entity_id and lines.document_type = documents.document_type
        and lines.document_id = documents.document_id
    where lines.treatment = 'usage' and lines.service_start is not null and lines.subscription_item_id is not null
),

billed as (
    select entity_id, document_id, subscription_item_id, service_start, service_end, {{ fact_order() }}
    from lines
    group by all
),

accrued as (
    select
        billed.entity_id, billed.document_id, billed.subscription_item_id, billed.service_start, billed.service_end,
        {{ fact_order('billed.') }},
        cast(sum(accruals.accrual) as bigint) as accrued
    from billed
    inner join {{ ref('usage_accruals') }} as accruals
        on billed.entity_id = accruals.entity_id
        and billed.subscription_item_id = accruals.subscription_item_id
        and billed.service_start <= accruals.window_start
        and billed.service_end >= accruals.window_end
    where
        (accruals.posting_date, accruals.accounting_date, accruals.time, accruals.sequence, accruals.event_id)
        < (billed.posting_date, billed.accounting_date, billed.time, billed.sequence, billed.event_id)
    group by all
),

-- An invoice bills all that was accrued and not billed by an earlier one.
released as (
    select
        *,
        accrued - coalesce(lag(accrued) over (
            partition by entity_id, subscription_item_id, service_start, service_end order by {{ fact_order() }}
        ), 0) as release
    from accrued
),

shared as (
    select
        lines.entity_id, lines.document_id, lines.line_id, released.release,
        row_number() over same_window as window_line_no,
        cast(sum(lines.net_amount) over (same_window rows between unbounded preceding and current row) as bigint) as amount_to_here,
        lines.net_amount,
        cast(sum(lines.net_amount) over (
            partition by lines.entity_id, lines.document_id, lines.subscription_item_id, lines.service_start, lines.service_end
        ) as bigint) as amount_total
    from lines
    inner join released
        on lines.entity_id = released.entity_id and lines.document_id = released.document_id
        and lines.subscription_item_id = released.subscription_item_id
        and lines.service_start = released.service_start and lines.service_end = released.service_end
    window same_window as (
        partition by lines.entity_id, lines.document_id, lines.subscription_item_id, lines.service_start, lines.service_end
        order by lines.line_no
    )
)

select
    entity_id,
    document_id,
    line_id,
    case
        when amount_total = 0 then case when window_line_no = 1 then release else 0 end
        else
            {{ share('release', 'amount_to_here', 'amount_total') }}
            - {{ share('release', 'amount_to_here - net_amount', 'amount_total') }}
    end as released
from shared
