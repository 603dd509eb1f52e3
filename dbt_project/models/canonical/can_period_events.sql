-- One row per closing or reopening of an accounting period of an entity.
with steps as (
    {{ events_of(['period.soft_closed', 'period.hard_closed', 'period.reopened'], {
        'period': 'VARCHAR', 'book': 'VARCHAR', 'subledger': 'VARCHAR', 'actor': 'VARCHAR', 'reason': 'VARCHAR',
    }) }}
)

select
    {{ envelope() }},
    event_type,
    d.period,
    coalesce(d.book, 'main') as book,
    coalesce(d.subledger, 'all') as subledger,
    d.actor,
    d.reason
from steps
