-- An entity whose calendar of weeks the build was not told of (variable week_calendars), or the reverse: its figures would
-- stand in the wrong periods. Blocks.
-- depends_on: {{ ref('journal_lines') }}
select entities.entity_id, entities.calendar
from {{ state('entities') }} as entities
where (entities.calendar <> 'month') <> ({{ counts_in_weeks('entities.entity_id') }})
