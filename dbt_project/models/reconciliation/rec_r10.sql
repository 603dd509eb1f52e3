-- One row per ERP account and explanation, per period end: receivables booked against the AR control account (R10).
{{ config(tags=['after_posting']) }}

{{ recon_ledger('R10', 'accounts_receivable', 1, cumulative=true) }}
