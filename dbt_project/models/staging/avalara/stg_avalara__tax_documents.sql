-- One row per tax document; amounts in minor units as the engine signs them, so a credit note is negative.
select
    transactions.entity_id,
    transactions.document_code as document_id,
    case transactions.transaction_type when 'ReturnInvoice' then 'credit_note' else 'invoice' end as document_type,
    lower(transactions.status) as status,
    transactions.tax_date,
    transactions.currency,
    {{ major_to_minor('transactions.total_amount', 'currencies.exponent') }} as net_amount,
    {{ major_to_minor('transactions.total_tax', 'currencies.exponent') }} as tax_amount,
    cast(transactions.version as integer) as version
from {{ ref('stg_avalara__transactions') }} as transactions
left join {{ state('currencies') }} as currencies on transactions.currency = currencies.currency
