-- A returned row is a booked line in a hard-closed period that was booked after the period was locked.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_booked_accounts'}}}) }}
{%- set _checked = ref('rec_booked_accounts') %}
select booked.booked_line_id, booked.entity_id, booked.posting_period, booked.booked_at, periods.closed_at
from {{ booked_lines() }} as booked
inner join {{ state('periods') }} as periods
    on booked.entity_id = periods.entity_id and booked.book = periods.book and booked.posting_period = periods.period
where periods.status = 'hard_closed' and booked.booked_at > periods.closed_at
