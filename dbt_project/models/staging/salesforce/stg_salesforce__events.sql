-- No rows: what is sold becomes obligations through subscriptions and invoices, so the CRM reports no accounting event.
{{ no_events() }}
