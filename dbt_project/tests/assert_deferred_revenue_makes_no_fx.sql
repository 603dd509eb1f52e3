-- A returned row is an entry that revalues deferred revenue, or finds an exchange difference in recognising it.
select entry_key, entity_id, min(event_type) as event_type
from {{ ref('journal_lines') }}
group by entry_key, entity_id
having
    bool_or(account_role = 'deferred_revenue' and event_type like 'fx.%')
    or bool_or(account_role in ('fx_gain', 'fx_loss') and event_type = 'revenue.recognised')
