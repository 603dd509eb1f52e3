-- A returned row is a line in functional currency whose two amounts differ (an fx or revaluation line carries no TC).
select entity_id, line_key, account_role, amount_tc, amount_fc
from {{ ref('journal_lines') }}
where currency = functional_currency and amount_tc <> amount_fc
    and account_role not in ('fx_gain', 'fx_loss', 'currency_exchange')
