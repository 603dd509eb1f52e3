-- One row per (entity, period, account): what moved in that period, major units.
{{ config(tags=['after_posting']) }}
with staged as (
    {{ staged_object('erp', 'account_balance', {
        'balance_entity_id': ['$.entity_id', 'text'],
        'period': ['$.period', 'text'],
        'account_code': ['$.account_code', 'text'],
        'debit': ['$.debit', 'decimal'],
        'credit': ['$.credit', 'decimal'],
        'balance': ['$.balance', 'decimal'],
    }) }}
)

select
    _source,
    coalesce(balance_entity_id, _entity_id) as entity_id,
    period,
    account_code,
    debit,
    credit,
    balance
from staged
