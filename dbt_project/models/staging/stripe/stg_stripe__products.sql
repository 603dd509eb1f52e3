-- One row per product of a billing account.
{{ staged_object('stripe', 'product', {
    'product_id': ['$.id', 'text'],
    'name': ['$.name', 'text'],
    'product_code': ['$.metadata.product_code', 'text'],
    'product_family': ['$.metadata.product_family', 'text'],
}, keep_deleted=true) }}
