-- One row per payment attempt on an invoice: the join of invoices and cash.
{{ staged_object('stripe', 'invoice_payment', {
    'invoice_payment_id': ['$.id', 'text'],
    'invoice_id': ['$.invoice', 'text'],
    'status': ['$.status', 'text'],
    'amount_paid': ['$.amount_paid', 'integer'],
    'payment_intent_id': ['$.payment.payment_intent', 'text'],
    'charge_id': ['$.payment.charge', 'text'],
    'paid_at': ['$.status_transitions.paid_at', 'unix'],
}) }}
