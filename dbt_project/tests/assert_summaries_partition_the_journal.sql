-- A returned row is a group of journal lines whose summarised posting lines do not have its sums or its count of lines.
{{ config(meta={'dagster': {'ref': {'name': 'posting_summaries'}}}) }}
with members as (
    select
        entity_id, period, account_role, currency, sum(amount_tc) as amount_tc, sum(amount_fc) as amount_fc, count(*) as line_count
    from {{ ref('journal_lines') }}
    group by entity_id, period, account_role, currency
),

-- Without event_class in its key a summary has none; role, currency and period are in every key.
summed as (
    select
        entity_id, period, account_role, currency, sum(debit - credit) as amount_tc, sum(debit_fc - credit_fc) as amount_fc, sum(member_count) as line_count
    from {{ ref('posting_summaries') }}
    group by entity_id, period, account_role, currency
)

select
    coalesce(members.entity_id, summed.entity_id) as entity_id, coalesce(members.period, summed.period) as period,
    coalesce(members.account_role, summed.account_role) as account_role, members.amount_tc, summed.amount_tc as summed_tc,
    members.amount_fc, summed.amount_fc as summed_fc, members.line_count, summed.line_count as summed_count
from members
full outer join summed
    on members.entity_id = summed.entity_id and members.period = summed.period
    and members.account_role = summed.account_role and members.currency = summed.currency
where coalesce(members.amount_tc, 0) <> coalesce(summed.amount_tc, 0)
    or coalesce(members.amount_fc, 0) <> coalesce(summed.amount_fc, 0)
    or coalesce(members.line_count, 0) <> coalesce(summed.line_count, 0)
