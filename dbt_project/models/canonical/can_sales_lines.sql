-- One row per line sold: accepted primary quote of a closed-won opportunity. is_recurring is false for one-time and usage.
{{ union_sources(providers('sales_lines'), 'sales_lines', [
    'entity_id', 'opportunity_id', 'opportunity_type', 'customer_id', 'close_date', 'product_code', 'product_family',
    'currency', 'quantity', 'list_unit_price', 'net_unit_price', 'price_book_unit_price', 'term_start', 'term_end',
    'is_recurring', 'amount', 'quote_id', 'quote_line_id',
]) }}
