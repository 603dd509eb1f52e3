-- One row per service window that an obligation was given (by booking or amendment): its parts as lists. A pause gives it a
-- day that never comes, so that nothing is earned until the line is resumed.
{% set never = "date '9999-12-30'" %}
with lines as (
    select
        obligations.entity_id, lines.contract_no, lines.step as window_step, lines.line_id, lines.service_start, lines.service_end,
        obligations.recognition, obligations.rounding, false as at_once, obligations.booked_on as posting_date, lines.action
    from {{ ref('contract_event_lines') }} as lines
    inner join {{ ref('contract_obligations') }} as obligations
        on lines.contract_no = obligations.contract_no and lines.line_id = obligations.line_id
    where
        lines.action in ('add', 'replace', 'pause', 'resume') and lines.service_end > lines.service_start
        and obligations.recognition in (
            'ratable_daily', 'ratable_monthly_equal', 'monthly_prorata_temporis', 'half_month', 'monthly_anniversary', 'thirty_360'
        )
),

windows as (
    select * exclude (action) from lines where action <> 'pause'
),

paused as (
    select * exclude (action) from lines where action = 'pause'
)

{{ window_parts('windows') }}
union all
select
    windows.* replace ({{ never }} as service_start, {{ add_days(never, 1) }} as service_end),
    [{{ never }}] as starts, [{{ add_days(never, 1) }}] as ends, [{{ add_days(never, 1) }}] as done_at, [{{ never }}] as recognised_on,
    [cast(1 as bigint)] as weights
from paused as windows
