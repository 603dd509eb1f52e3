-- One row per compared item of every reconciliation: matched pairs (variance_class null), roundings and variances.
{{ config(tags=['after_posting']) }}

{% for recon in recon_models() %}
select * from {{ ref('rec_r' ~ recon) }}
{{ 'union all' if not loop.last }}
{% endfor %}
