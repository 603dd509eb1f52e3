{#- Policy as data: a row attaches to an entity, narrowed by product family, then by currency; per key the most specific
    row wins. (name, SQL type, default) of every key the subledger reads; NULL default = not set. -#}
{% macro policy_keys() -%}
{{ return([
    ('recognition', 'varchar', "'ratable_daily'"),
    ('schedule_rounding', 'varchar', "'largest_remainder'"),
    ('immediate_max_days', 'integer', '0'),
    ('rounding_unit', 'varchar', "'minor'"),
    ('usage_recognition', 'varchar', "'as_reported'"),
    ('discount_presentation', 'varchar', "'net'"),
    ('receivable_timing', 'varchar', "'at_invoice'"),
    ('credit_split', 'varchar', "'proportional'"),
    ('contra_presentation', 'varchar', "'contra'"),
    ('refund_policy', 'varchar', "'proportional'"),
    ('dispute_policy', 'varchar', "'park_in_receivable'"),
    ('uncollectible_policy', 'varchar', "'split'"),
    ('bad_debt_tax_relief', 'boolean', 'false'),
    ('fee_method', 'varchar', "'gross'"),
    ('payment_tolerance', 'bigint', '0'),
    ('reference_match', 'varchar', "'exact'"),
    ('intercompany_share', 'varchar', 'null'),
    ('fx_rate_source', 'varchar', "'processor'"),
    ('revaluation', 'varchar', "'month_end'"),
    ('closed_period_policy', 'varchar', "'first_open'"),
    ('prior_period_materiality', 'bigint', 'null'),
    ('loss_allowance', 'varchar', 'null'),
    ('reporting_income_rate', 'varchar', "'transaction'"),
]) }}
{%- endmacro %}
