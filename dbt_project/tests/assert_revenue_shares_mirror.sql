-- A returned row is a share of revenue that one entity of the pair shows and the other does not.
select event_key, currency, document_id, document_line_id, sum(amount_tc) as amount_tc
from {{ ref('journal_lines') }}
where account_role in ('intercompany_payable', 'intercompany_receivable') and event_type = 'revenue.shared'
group by event_key, currency, document_id, document_line_id
having sum(amount_tc) <> 0
