-- A returned row is a set of books whose lines do not sum to nil, in one transaction currency or in functional currency.
select entity_id, book, currency, sum(amount_tc) as amount
from {{ ref('journal_lines') }}
group by entity_id, book, currency
having sum(amount_tc) <> 0
union all
select entity_id, book, functional_currency as currency, sum(amount_fc) as amount
from {{ ref('journal_lines') }}
group by entity_id, book, functional_currency
having sum(amount_fc) <> 0
