-- A returned row is a month-end revaluation that the next day does not take back exactly, item by item: over the life of
-- an item only what was realised remains.
with revalued as (
    select
        entity_id, account_role, currency, coalesce(open_item, '') as open_item,
        case event_type when 'fx.revalued' then accounting_date else {{ add_days('accounting_date', -1) }} end as month_end,
        amount_fc
    from {{ ref('journal_lines') }}
    where event_type in ('fx.revalued', 'fx.revaluation_reversed') and account_role not in ('fx_gain', 'fx_loss')
)

select entity_id, account_role, currency, open_item, month_end, sum(amount_fc) as amount_fc
from revalued
where month_end < {{ as_of() }}
group by entity_id, account_role, currency, open_item, month_end
having sum(amount_fc) <> 0
