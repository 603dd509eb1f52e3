-- A returned row is a journal line that does not lead to exactly one accepted event, one source record of it, and the
-- policy it was made under.
{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
select lines.line_key, min(lines.entity_id) as entity_id, min(lines.event_key) as event_key, count(events.event_key) as events
from {{ ref('journal_lines') }} as lines
left join {{ ref('events') }} as events on lines.event_key = events.event_key
group by lines.line_key
having count(events.event_key) <> 1 or min(events.vendor_record) is null or min(lines.policy_hash) is null
