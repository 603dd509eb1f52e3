-- One row per ERP account and explanation, per period end: deferred revenue booked against the ERP account (R11).
{{ config(tags=['after_posting']) }}

{{ recon_ledger('R11', 'deferred_revenue', -1, cumulative=true) }}
