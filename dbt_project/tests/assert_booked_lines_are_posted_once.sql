-- A returned row is a booked line that is in more than one line of a posting batch, or a member that nobody booked.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_booked_accounts'}}}) }}
{%- set _checked = ref('rec_booked_accounts') %}
select members.booked_line_id, count(*) as posted
from {{ posting_members() }} as members
left join {{ booked_lines() }} as booked on members.booked_line_id = booked.booked_line_id
group by members.booked_line_id
having count(*) > 1 or count(booked.booked_line_id) = 0
