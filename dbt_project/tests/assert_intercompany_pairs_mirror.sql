-- A returned row is an event that leaves a receivable with one legal entity without the same payable with another.
select event_key, event_type, currency, sum(amount_tc) as amount_tc, count(distinct entity_id) as entities
from {{ ref('journal_lines') }}
where account_role in ('intercompany_payable', 'intercompany_receivable')
group by event_key, event_type, currency
having sum(amount_tc) <> 0 or count(distinct entity_id) < 2
