-- One row per CRM account; a deleted one stays, for sales made before still point to it.
{{ staged_object('salesforce', 'account', {
    'account_id': ['$.Id', 'text'],
    'name': ['$.Name', 'text'],
    'parent_id': ['$.ParentId', 'text'],
    'country': ['$.BillingCountryCode', 'text'],
    'currency': ['$.CurrencyIsoCode', 'text'],
}, keep_deleted=true) }}
