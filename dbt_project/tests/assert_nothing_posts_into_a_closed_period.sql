-- A returned row is a journal line in a period that was closed when its event was recorded. (Rates are not postings: what
-- a late one changes, booking corrects in the first open period.)
{{ config(meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}
select lines.line_key, lines.entity_id, lines.period, lines.event_type, lines.document_id
from {{ ref('journal_lines') }} as lines
inner join {{ ref('events') }} as events on lines.event_key = events.event_key
inner join {{ ref('closed_periods') }} as closed
    on lines.entity_id = closed.entity_id and lines.period = closed.period
    and events.recorded_time >= closed.closed_from and events.recorded_time < closed.closed_to
where lines.event_type not like 'fx.%'
