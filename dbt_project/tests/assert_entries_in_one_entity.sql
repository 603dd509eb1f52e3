-- A returned row is a journal entry with lines of more than one legal entity, or of more than one date.
select entry_key, count(distinct entity_id) as entities, count(distinct accounting_date) as dates
from {{ ref('journal_lines') }}
group by entry_key
having count(distinct entity_id) > 1 or count(distinct accounting_date) > 1
