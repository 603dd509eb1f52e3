-- Translated balances of an entity and period that do not sum to nil, do not follow from the period before, or differ from
-- the functional ones although the entity keeps its books in the group's currency. Blocks.
select entity_id, period, 'does not sum to nil' as finding
from {{ ref('reporting_balances') }}
group by entity_id, period
having sum(closing_rc) <> 0 or sum(closing_fc) <> 0
union all
select entity_id, period, 'differs from the functional balance' as finding
from {{ ref('reporting_balances') }}
where functional_currency = reporting_currency and (closing_rc <> closing_fc or not is_translated)
union all
select entity_id, period, 'is translated in part' as finding
from {{ ref('reporting_balances') }}
group by entity_id, period
having count(distinct is_translated) > 1
