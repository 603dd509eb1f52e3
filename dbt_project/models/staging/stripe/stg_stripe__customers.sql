-- One row per billing customer.
{{ staged_object('stripe', 'customer', {
    'billing_customer_id': ['$.id', 'text'],
    'crm_account_id': ['$.metadata.salesforce_account_id', 'text'],
    'name': ['$.name', 'text'],
    'currency': ['$.currency', 'text'],
}, keep_deleted=true) }}
