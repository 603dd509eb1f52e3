-- One row per customer.
{{ union_sources(providers('customers'), 'customers', ['customer_id', 'name', 'parent_customer_id', 'country', 'currency']) }}
