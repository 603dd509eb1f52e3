-- One row per service window that an obligation was given (by booking or amendment): its parts as lists.
with windows as (
    select
        obligations.entity_id, lines.contract_no, lines.step as window_step, lines.line_id, lines.service_start, lines.service_end,
        obligations.recognition, obligations.rounding, false as at_once, obligations.booked_on as posting_date
    from {{ ref('contract_event_lines') }} as lines
    inner join {{ ref('contract_obligations') }} as obligations
        on lines.contract_no = obligations.contract_no and lines.line_id = obligations.line_id
    where
        lines.action in ('add', 'replace') and lines.service_end > lines.service_start
        and obligations.recognition in (
            'ratable_daily', 'ratable_monthly_equal', 'monthly_prorata_temporis', 'half_month', 'monthly_anniversary', 'thirty_360'
        )
)

{{ window_parts('windows') }}
