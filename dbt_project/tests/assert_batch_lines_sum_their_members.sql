-- A returned row is a batch line whose members do not have its count or its sum, live batches only.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_booked_accounts'}}}) }}
{%- set _checked = ref('rec_booked_accounts') %}
with found as (
    select
        members.batch_key, members.batch_line_no, count(*) as member_count, sum(booked.amount_fc) as amount_fc,
        sum(booked.amount_tc) as amount_tc
    from {{ posting_members() }} as members
    inner join {{ booked_lines() }} as booked on members.booked_line_id = booked.booked_line_id
    group by members.batch_key, members.batch_line_no
)

select
    lines.batch_key, lines.line_no, lines.member_count, found.member_count as found_count,
    lines.debit_fc - lines.credit_fc as amount_fc, found.amount_fc as found_fc, lines.amount_tc, found.amount_tc as found_tc
from {{ state('posting_batch_lines') }} as lines
left join found on lines.batch_key = found.batch_key and lines.line_no = found.batch_line_no
where coalesce(found.member_count, 0) <> lines.member_count
    or coalesce(found.amount_fc, 0) <> lines.debit_fc - lines.credit_fc
    or coalesce(found.amount_tc, 0) <> lines.amount_tc
