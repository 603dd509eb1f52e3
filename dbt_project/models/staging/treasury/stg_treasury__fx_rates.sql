-- One row per published exchange rate (entity, pair, day, kind).
{{ staged_object('treasury', 'fx_rate', {
    'entity_id': ['$.entity_id', 'text'],
    'from_currency': ['$.from_currency', 'text'],
    'to_currency': ['$.to_currency', 'text'],
    'rate_date': ['$.rate_date', 'date'],
    'rate_type': ['$.rate_type', 'text'],
    'rate': ['$.rate', 'text'],
}) }}
