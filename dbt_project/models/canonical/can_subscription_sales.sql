-- One row per (subscription phase, product): contract value the phase adds over the rest of its term.
{{ union_sources(providers('subscription_sales'), 'subscription_sales', [
    'entity_id', 'subscription_id', 'opportunity_id', 'customer_id', 'phase_no', 'amendment_kind', 'product_code',
    'currency', 'amount', 'term_start', 'term_end', 'booked_at',
]) }}
