-- A returned row is a journal entry that does not balance, in functional currency or in one of its transaction currencies.
select entity_id, entry_key, currency, sum(amount_tc) as amount_tc, cast(null as hugeint) as amount_fc
from {{ ref('journal_lines') }}
group by entity_id, entry_key, currency
having sum(amount_tc) <> 0
union all
select entity_id, entry_key, cast(null as varchar) as currency, null as amount_tc, sum(amount_fc) as amount_fc
from {{ ref('journal_lines') }}
group by entity_id, entry_key
having sum(amount_fc) <> 0
