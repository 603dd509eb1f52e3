-- One row per external balance at the end of a day (debit positive from our view).
with reported as (
    {{ events_of(['balance.reported'], {
        'system': 'VARCHAR', 'account': 'VARCHAR', 'account_role': 'VARCHAR', 'currency': 'VARCHAR',
        'balance': 'BIGINT',
    }) }}
)

select
    {{ envelope() }},
    d.system,
    coalesce(d.account, 'default') as account,
    d.account_role,
    d.currency,
    d.balance
from reported
