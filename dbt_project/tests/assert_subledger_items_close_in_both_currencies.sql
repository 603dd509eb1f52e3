-- A returned row is an open item with nothing left in transaction currency but something in functional currency.
select entity_id, account_role, currency, open_item, sum(amount_tc) as amount_tc, sum(amount_fc) as amount_fc
from {{ ref('journal_lines') }}
where open_item is not null and event_type not like 'fx.%' and account_role <> 'processor_clearing'
group by entity_id, account_role, currency, open_item
having sum(amount_tc) = 0 and sum(amount_fc) <> 0
