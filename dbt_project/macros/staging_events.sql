{#- The event envelope, written once: every `stg_<vendor>__events` ends in `event_envelope`, canonical unions them. -#}

{#- Types of the event contract, version 1. -#}
{% macro event_types() %}
{{ return(event_required_fields().keys() | list) }}
{% endmacro %}

{#- Columns that a relation must bring to `event_envelope`, with their types. -#}
{% macro event_input_columns() %}
{{ return({
    'source': 'varchar', 'id': 'varchar', 'type': 'varchar', 'time': 'timestamp', 'entity_id': 'varchar',
    'effective_date': 'date', 'recorded_time': 'timestamp', 'sequence': 'varchar', 'subject': 'varchar',
    'correlation_id': 'varchar', 'causation_id': 'varchar', 'supersedes_id': 'varchar', 'data': 'varchar',
    'landed_at': 'timestamp', 'landing_seq': 'bigint', 'vendor_record': 'varchar',
}) }}
{% endmacro %}

{#- Final select of a staging event model: types made explicit, event_key and content_hash added. Payloads that we write
    ourselves have one key order, so hashing their text is canonical; pass `content_hash` for payloads of others. -#}
{% macro event_envelope(relation, content_hash=none) %}
select
    {%- for column, type in event_input_columns().items() %}
    cast({{ column }} as {{ type }}) as {{ column }},
    {%- endfor %}
    md5(source || '|' || id) as event_key,
    {{ content_hash or "md5(type || '|' || coalesce(entity_id, '') || '|' || coalesce(cast(effective_date as varchar), '') || '|' || coalesce(data, ''))" }} as content_hash
from {{ relation }}
{% endmacro %}

{#- A vendor that reports nothing the event contract knows: the typed, empty relation, so that unions stay uniform. -#}
{% macro no_events() %}
select
    {%- for column, type in event_input_columns().items() %}
    cast(null as {{ type }}) as {{ column }},
    {%- endfor %}
    cast(null as varchar) as event_key,
    cast(null as varchar) as content_hash
where 1 = 0
{% endmacro %}

{#- Id of the business object an event speaks of, from its payload; null where the type has none. -#}
{% macro event_business_id(type, data) -%}
case
    when {{ type }} like 'invoice.%' or {{ type }} = 'dunning.status_changed' then {{ json_text(data, '$.invoice_id') }}
    when {{ type }} like 'credit_note.%' then {{ json_text(data, '$.credit_note_id') }}
    when {{ type }} like 'payment.%' then {{ json_text(data, '$.payment_id') }}
    when {{ type }} like 'refund.%' then {{ json_text(data, '$.refund_id') }}
    when {{ type }} like 'dispute.%' then {{ json_text(data, '$.dispute_id') }}
    when {{ type }} like 'payout.%' then {{ json_text(data, '$.payout_id') }}
    when {{ type }} like 'period.%' then {{ json_text(data, '$.period') }}
    when {{ type }} like 'erp.%' then {{ json_text(data, '$.posting_key') }}
    when {{ type }} = 'contract.booked' or {{ type }} = 'estimate.revised' or {{ type }} = 'performance.recorded'
        then {{ json_text(data, '$.contract_id') }}
    when {{ type }} = 'subscription.created' then {{ json_text(data, '$.subscription_id') }}
    when {{ type }} = 'amendment.booked' then {{ json_text(data, '$.amendment_id') }}
    when {{ type }} = 'pending_charge.recorded' then {{ json_text(data, '$.pending_charge_id') }}
    when {{ type }} = 'usage.rated' then {{ json_text(data, '$.usage_id') }}
    when {{ type }} = 'tax.recalculated' then {{ json_text(data, '$.document_id') }}
    when {{ type }} = 'customer_balance.adjusted' then {{ json_text(data, '$.adjustment_id') }}
    when {{ type }} = 'bank.line_posted' then {{ json_text(data, '$.bank_line_id') }}
    when {{ type }} = 'balance_txn.reported' then {{ json_text(data, '$.balance_txn.balance_txn_id') }}
end
{%- endmacro %}

{#- Rows of every source that feeds an entity: union of `stg_<vendor>__<entity>` over the vendors named in `vars`.
    `columns` fixes names and order. -#}
{% macro union_sources(vendors, entity, columns) %}
{%- for vendor in vendors %}
{{ 'union all' if not loop.first }}
select
    {{ columns | join(',\n    ') }}
from {{ ref('stg_' ~ vendor ~ '__' ~ entity) }}
{%- endfor %}
{% endmacro %}

{#- Which staging folders provide a reference entity that is not an event. A company with another CRM or tax engine
    overrides the var; nothing else changes. -#}
{% macro providers(entity) %}
{{ return(var('providers', {}).get(entity) or {
    'sales_lines': ['salesforce'],
    'customers': ['salesforce'],
    'products': ['salesforce'],
    'subscription_sales': ['stripe'],
    'tax_documents': ['avalara'],
    'tax_document_lines': ['avalara'],
    'opportunity_quotes': ['salesforce'],
    'source_documents': ['salesforce', 'avalara'],
}[entity]) }}
{% endmacro %}

{#- Fields without which an event of a type means nothing. -#}
{% macro event_required_fields() %}
{{ return({
    'contract.booked': ['contract_id', 'customer_id', 'currency', 'lines'],
    'subscription.created': ['subscription_id', 'customer_id', 'currency', 'billing', 'items'],
    'amendment.booked': ['amendment_id', 'kind'],
    'estimate.revised': ['contract_id'],
    'performance.recorded': ['contract_id', 'line_id', 'measure'],
    'pending_charge.recorded': ['pending_charge_id', 'customer_id', 'currency', 'amount'],
    'usage.rated': ['usage_id', 'subscription_item_id', 'window_start', 'window_end', 'quantity', 'amount', 'currency'],
    'invoice.posted': ['invoice_id', 'customer_id', 'currency', 'lines'],
    'invoice.voided': ['invoice_id'],
    'invoice.uncollectible': ['invoice_id'],
    'credit_note.issued': ['credit_note_id', 'invoice_id', 'currency', 'timing', 'lines'],
    'credit_note.voided': ['credit_note_id'],
    'tax.recalculated': ['document_type', 'document_id', 'lines'],
    'payment.settled': ['payment_id', 'amount', 'currency', 'channel'],
    'payment.failed': ['payment_id'],
    'payment.applied': ['payment_id', 'applications'],
    'refund.issued': ['refund_id', 'payment_id', 'amount', 'currency'],
    'refund.failed': ['refund_id'],
    'dispute.opened': ['dispute_id', 'payment_id', 'amount', 'currency'],
    'dispute.funds_withdrawn': ['dispute_id', 'payment_id', 'amount', 'currency'],
    'dispute.funds_reinstated': ['dispute_id', 'amount', 'currency'],
    'dispute.closed': ['dispute_id', 'outcome'],
    'customer_balance.adjusted': ['adjustment_id', 'customer_id', 'amount', 'currency', 'counter_role'],
    'payout.paid': ['payout_id', 'amount', 'currency'],
    'payout.failed': ['payout_id'],
    'bank.line_posted': ['bank_line_id', 'bank_account', 'amount', 'currency'],
    'balance_txn.reported': ['balance_txn'],
    'balance.reported': ['system', 'currency', 'balance'],
    'opening_balance.loaded': ['lines'],
    'dunning.status_changed': ['invoice_id', 'stage'],
    'fx_rate.published': ['from', 'to', 'rate', 'rate_type'],
    'period.soft_closed': ['period', 'actor'],
    'period.hard_closed': ['period', 'actor'],
    'period.reopened': ['period', 'actor'],
    'erp.acknowledged': ['posting_key', 'batch_id'],
    'erp.rejected': ['posting_key', 'batch_id'],
}) }}
{% endmacro %}

{#- True if any of `fields` is absent or null in the payload; what money must look like stands in `event_money_wrong`. -#}
{% macro event_fields_missing(data, fields) -%}{{ return(adapter.dispatch('event_fields_missing')(data, fields)) }}{%- endmacro %}
{% macro duckdb__event_fields_missing(data, fields) -%}
len(list_filter(json_type({{ data }}, ['$.{{ fields | join("', '$.") }}']), lambda t: t <> 'NULL')) < {{ fields | length }}
{%- endmacro %}
