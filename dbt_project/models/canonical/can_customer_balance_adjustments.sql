-- One row per adjustment of stored customer credit; amount > 0 favours the customer.
with adjusted as (
    {{ events_of(['customer_balance.adjusted'], {
        'adjustment_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'amount': 'BIGINT', 'currency': 'VARCHAR',
        'counter_role': 'VARCHAR',
    }) }}
)

select {{ envelope() }}, d.adjustment_id, d.customer_id, d.amount, d.currency, d.counter_role from adjusted
