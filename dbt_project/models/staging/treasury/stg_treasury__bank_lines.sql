-- One row per bank statement line, amount in minor units, + = money in.
with staged as (
    {{ staged_object('treasury', 'bank_line', {
        'entity_id': ['$.entity_id', 'text'],
        'bank_account': ['$.bank_account', 'text'],
        'statement_id': ['$.statement_id', 'text'],
        'bank_line_id': ['$.bank_line_id', 'text'],
        'value_date': ['$.value_date', 'date'],
        'amount': ['$.amount', 'text'],
        'currency': ['$.currency', 'text'],
        'reference': ['$.reference', 'text'],
        'counterparty': ['$.counterparty', 'text'],
    }) }}
),

currencies as (
    select * from {{ state('currencies') }}
)

select
    staged._source,
    staged._record_id,
    staged._landing_seq,
    staged._first_landed_at,
    staged.entity_id,
    staged.bank_account,
    nullif(staged.statement_id, '') as statement_id,
    staged.bank_line_id,
    staged.value_date,
    upper(staged.currency) as currency,
    {{ major_to_minor('staged.amount', 'currencies.exponent') }} as amount,
    nullif(staged.reference, '') as reference,
    nullif(staged.counterparty, '') as counterparty
from staged
left join currencies on upper(staged.currency) = currencies.currency
