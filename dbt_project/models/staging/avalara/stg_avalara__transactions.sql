-- One row per tax document (company, code, type): its highest version.
with staged as (
    {{ staged_object('avalara', 'transaction', {
        'transaction_id': ['$.id', 'text'],
        'company_code': ['$.companyCode', 'text'],
        'document_code': ['$.code', 'text'],
        'transaction_type': ['$.type', 'text'],
        'version': ['$.version', 'integer'],
        'status': ['$.status', 'text'],
        'tax_date': ['$.taxDate', 'date'],
        'document_date': ['$.date', 'date'],
        'currency': ['$.currencyCode', 'text'],
        'total_tax': ['$.totalTax', 'text'],
        'total_amount': ['$.totalAmount', 'text'],
        'lines': ['$.lines', 'json'],
    }) }}
)

select
    _source,
    _record_id,
    coalesce(company_code, split_part(_record_id, ':', 1)) as entity_id,
    transaction_id,
    document_code,
    transaction_type,
    version,
    status,
    coalesce(tax_date, document_date) as tax_date,
    upper(currency) as currency,
    total_tax,
    total_amount,
    coalesce(lines, '[]') as lines
from staged
-- An adjustment keeps the code and raises the version; estimates (orders) are never reported.
where transaction_type in ('SalesInvoice', 'ReturnInvoice')
qualify row_number() over (
    partition by _source, coalesce(company_code, split_part(_record_id, ':', 1)), document_code, transaction_type
    order by version desc, _landing_seq desc
) = 1
