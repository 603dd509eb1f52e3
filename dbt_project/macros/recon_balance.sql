{#- Rows of a reconciliation of balances (or of one account's activity), to stand after the last CTE.

    `balances`: entity_id, period, currency, left_amount, right_amount[, item_key]; `explained`: the same keys,
    variance_class, reference, amount (its part of left - right), explanation; `by_key` if there are several item_keys.
    One matched row carries the part that agrees, each explanation is a row with its amount as difference (on the side
    that has it: what only the target knows stands on the right), and what is left is one `unexplained` row, or
    `rounding` if it is within tolerance. Rows sum to the two balances. -#}
{% macro recon_balance_rows(recon_id, balances, explained, by_key=false) %}
{%- set key = "b.item_key" if by_key else "'balance'" -%}
{%- set on_key = " and b.item_key = x.item_key" if by_key else "" -%}
explained_totals as (
    select
        b.entity_id,
        b.period,
        b.currency,
        {{ key }} as item_key,
        sum(b.amount) as amount,
        sum(case when {{ recon_on_target('b.variance_class') }} then b.amount else 0 end) as target_amount
    from {{ explained }} as b
    group by 1, 2, 3, 4
),

rest as (
    select
        b.entity_id,
        b.period,
        b.currency,
        {{ key }} as item_key,
        b.left_amount,
        b.right_amount,
        b.right_amount + coalesce(x.target_amount, 0) as agreed,
        b.left_amount - b.right_amount - coalesce(x.amount, 0) as rest
    from {{ balances }} as b
    left join explained_totals as x
        on b.entity_id = x.entity_id and b.period = x.period and b.currency = x.currency{{ on_key }}
),

recon_rows as (
    select
        r.entity_id,
        r.period,
        r.currency,
        r.item_key,
        r.agreed as left_amount,
        r.agreed as right_amount,
        cast(null as varchar) as variance_class,
        cast(null as varchar) as reference,
        cast(null as varchar) as explanation,
        cast(null as varchar) as erp_document,
        true as is_match
    from rest as r
    union all
    select
        b.entity_id,
        b.period,
        b.currency,
        {{ key }} || '|' || b.variance_class || '|' || b.reference as item_key,
        case when {{ recon_on_target('b.variance_class') }} then 0 else b.amount end as left_amount,
        case when {{ recon_on_target('b.variance_class') }} then -b.amount else 0 end as right_amount,
        b.variance_class,
        b.reference,
        b.explanation,
        {{ "b.erp_document" if by_key else "cast(null as varchar)" }} as erp_document,
        false as is_match
    from {{ explained }} as b
    union all
    select
        r.entity_id,
        r.period,
        r.currency,
        r.item_key || '|rest' as item_key,
        r.rest as left_amount,
        0 as right_amount,
        case when {{ recon_within('r.rest', 'r.left_amount', 'p') }} then 'rounding' else 'unexplained' end as variance_class,
        r.entity_id || '|' || r.currency || case when r.item_key = 'balance' then '' else '|' || r.item_key end as reference,
        'No document or journal explains this part of the difference.' as explanation,
        cast(null as varchar) as erp_document,
        {{ recon_within('r.rest', 'r.left_amount', 'p') }} as is_match
    from rest as r
    left join {{ ref('rec_policy') }} as p on p.recon_id = '{{ recon_id }}' and p.entity_id = r.entity_id
    where r.rest <> 0
),

recon_rows_shaped as (
    select
        *,
        case when not {{ recon_on_target('variance_class') }} then reference end as left_reference,
        case when {{ recon_on_target('variance_class') }} then reference end as right_reference,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id,
        cast(null as varchar) as expected_clear_period,
        case when variance_class is null then 1 else 0 end as match_count
    from recon_rows
)

{{ recon_shape(recon_id, 'recon_rows_shaped') }}
{% endmacro %}

{#- Classes whose amount only the target side has. -#}
{% macro recon_on_target(variance_class) -%}
coalesce({{ variance_class }}, '') in ('missing_left', 'manual_erp_journal')
{%- endmacro %}

{#- Class of a difference between a posting batch and the ERP documents that carry its key. `batch` and `found` are the
    aliases of the batch row and of (document_count) per key; `moved` says that only the period differs. -#}
{% macro recon_batch_class(batch, found, moved) -%}
case
    when {{ batch }}.batch_key is null then 'missing_left'
    when {{ found }}.document_count is null
        then case when {{ batch }}.status in ('posted', 'verified', 'dead') then 'missing_right' else 'timing_in_transit' end
    when {{ found }}.document_count > 1 then 'duplicate'
    when {{ moved }} then 'wrong_period'
    else 'amount'
end
{%- endmacro %}

{#- R10, R11 and R12: one account role of the journal of record against its ERP accounts, in functional currency.
    `sign` turns debit positive into the account's natural side. `cumulative`: balance at the end of each period, whose
    explanations stay while they are open; otherwise the activity of the period. -#}
{% macro recon_ledger(recon_id, role, sign, cumulative) %}
with activity as (
    select * from {{ ref('rec_gl_activity') }}
    where owning_role = '{{ role }}'
),

explanations as (
    select parts.*
    from {{ ref('rec_gl_explanations') }} as parts
    left join {{ ref('rec_gl_accounts') }} as accounts
        on parts.entity_id = accounts.entity_id and parts.account_code = accounts.account_code
    where coalesce(accounts.owning_role, replace(parts.account_code, 'unmapped:', '')) = '{{ role }}'
),

periods as (
    select distinct entity_id, period
    from {{ state('periods') }}
    where start_date <= {{ as_of_date() }}
    union
    select distinct entity_id, period from activity
),

-- An entity of which we see no ERP accounts may state balances by role (balance.reported).
{{ recon_reported(role, sign, cumulative,
    "reported.system = 'erp' and reported.account_role = '" ~ role ~ "' and reported.entity_id not in (select activity.entity_id from activity)") }},

balances as (
    select
        entity_id, period, currency, item_key, left_amount, right_amount
    from reported_balances
    union all
    select
        periods.entity_id,
        periods.period,
        activity.currency,
        activity.account_code as item_key,
        {{ sign }} * sum(activity.booked_amount) as left_amount,
        {{ sign }} * sum(activity.erp_amount) as right_amount
    from periods
    inner join activity
        on periods.entity_id = activity.entity_id and activity.period {{ '<=' if cumulative else '=' }} periods.period
    group by 1, 2, 3, 4
),

explained as (
    select
        balances.entity_id,
        balances.period,
        balances.currency,
        balances.item_key,
        explanations.variance_class,
        explanations.reference,
        max(explanations.explanation) as explanation,
        max(explanations.erp_document) as erp_document,
        {{ sign }} * sum(explanations.amount) as amount
    from balances
    inner join explanations
        on
            balances.entity_id = explanations.entity_id
            and balances.item_key = explanations.account_code
            and explanations.period {{ '<=' if cumulative else '=' }} balances.period
    group by 1, 2, 3, 4, 5, 6
    having sum(explanations.amount) <> 0
),

{{ recon_balance_rows(recon_id, 'balances', 'explained', by_key=true) }}
{% endmacro %}

{#- CTEs `reports` and `reported_balances`: an account role of the subledger against what `condition` selects of
    can_balances_reported (alias `reported`), per entity, period and currency, in transaction currency. Of each account the
    last report of a month stands. Balances at the day of the report; if not `cumulative`, their movement since the report
    before (or since the beginning). -#}
{% macro recon_reported(role, sign, cumulative, condition) %}
{%- set month = recon_month('reported.accounting_date', 'reported.entity_id') -%}
reports as (
    select
        totals.*,
        {% if cumulative %}cast(null as date){% else %}lag(totals.cut_off) over by_month{% endif %} as cut_off_before,
        {% if cumulative %}0{% else %}coalesce(lag(totals.balance) over by_month, 0){% endif %} as balance_before
    from (
        select
            entity_id, period, currency, max(cut_off) as cut_off, cast(sum(balance) as bigint) as balance
        from (
            select
                reported.entity_id, {{ month }} as period, reported.currency, reported.accounting_date as cut_off, reported.balance
            from {{ ref('can_balances_reported') }} as reported
            where reported.accounting_date <= {{ as_of_date() }} and {{ condition }}
            qualify row_number() over (
                partition by reported.entity_id, reported.currency, reported.account, {{ month }}
                order by reported.accounting_date desc, reported.time desc, reported.event_id desc
            ) = 1
        ) as last_reports
        group by entity_id, period, currency
    ) as totals
    {% if not cumulative %}window by_month as (partition by totals.entity_id, totals.currency order by totals.cut_off){% endif %}
),

reported_balances as (
    select
        reports.entity_id,
        reports.period,
        reports.currency,
        'reported|{{ role }}' as item_key,
        {{ sign }} * cast(coalesce(sum(lines.amount_tc), 0) as bigint) as left_amount,
        {{ sign }} * (max(reports.balance) - max(reports.balance_before)) as right_amount
    from reports
    left join {{ ref('journal_lines') }} as lines
        on reports.entity_id = lines.entity_id and reports.currency = lines.currency
        and lines.account_role = '{{ role }}' and reports.cut_off >= lines.accounting_date
        and (reports.cut_off_before is null or reports.cut_off_before < lines.accounting_date)
    group by reports.entity_id, reports.period, reports.currency
)
{%- endmacro %}
