-- One row per revenue account (family) and explanation, per period: revenue booked against the ERP's activity (R12).
{{ config(tags=['after_posting']) }}

{{ recon_ledger('R12', 'revenue', -1, cumulative=false) }}
