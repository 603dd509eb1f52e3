-- One row per compared item of every reconciliation: matched pairs (variance_class null), roundings and variances.
{{ config(tags=['after_posting']) }}

{{ recon_union() }}
