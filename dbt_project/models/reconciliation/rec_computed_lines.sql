-- grain: one journal line as it should be, by content. Its own node so that a check of what is booked, which needs the
-- journal of record, hangs on the half that runs after booking and not on the subledger's tables themselves.
{{ config(materialized='ephemeral', tags=['after_posting']) }}

select distinct entry_key, entry_hash, entity_id, account_role, currency, amount_tc, amount_fc
from {{ ref('journal_lines') }}
