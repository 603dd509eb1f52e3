-- One row per line of an ERP journal document; debit and credit in BIGINT minor units of the entity's own currency.
{{ config(tags=['after_posting']) }}

select
    lines.entity_id,
    cast(lines.move_id as varchar) as document_id,
    cast(lines.line_id as varchar) as line_id,
    lines.account_code,
    entities.functional_currency,
    {{ recon_to_minor('coalesce(lines.debit, 0)', 'currencies.exponent') }} as debit,
    {{ recon_to_minor('coalesce(lines.credit, 0)', 'currencies.exponent') }} as credit,
    lines.description,
    lines.customer_id,
    lines.maturity_date,
    lines.is_reconciled,
    lines.settles
from {{ ref('stg_erp__move_lines') }} as lines
inner join {{ state('entities') }} as entities on lines.entity_id = entities.entity_id
inner join {{ state('currencies') }} as currencies on entities.functional_currency = currencies.currency
