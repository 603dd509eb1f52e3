-- One row per CRM product; a deleted one stays, for sales made before still point to it.
{{ staged_object('salesforce', 'product2', {
    'product_id': ['$.Id', 'text'],
    'product_code': ['$.ProductCode', 'text'],
    'name': ['$.Name', 'text'],
    'product_family': ['$.Family', 'text'],
    'is_active': ['$.IsActive', 'boolean'],
}, keep_deleted=true) }}
