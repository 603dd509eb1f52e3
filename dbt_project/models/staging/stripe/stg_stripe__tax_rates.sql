-- One row per tax rate.
{{ staged_object('stripe', 'tax_rate', {
    'tax_rate_id': ['$.id', 'text'],
    'display_name': ['$.display_name', 'text'],
    'tax_type': ['$.tax_type', 'text'],
    'jurisdiction': ['$.jurisdiction', 'text'],
    'country': ['$.country', 'text'],
    'state': ['$.state', 'text'],
    'percentage': ['$.percentage', 'text'],
}, keep_deleted=true) }}
