-- No rows: invoices already carry the engine's tax; its documents are reference entities of the tax reconciliation.
{{ no_events() }}
