-- One row per entity, period and ERP account: what moved in that period, BIGINT minor units, balance = debit - credit.
{{ config(tags=['after_posting']) }}

select
    balances.entity_id,
    cast(balances.period as varchar) as period,
    balances.account_code,
    entities.functional_currency,
    {{ recon_to_minor('coalesce(balances.debit, 0)', 'currencies.exponent') }} as debit,
    {{ recon_to_minor('coalesce(balances.credit, 0)', 'currencies.exponent') }} as credit,
    {{ recon_to_minor('coalesce(balances.debit, 0)', 'currencies.exponent') }}
    - {{ recon_to_minor('coalesce(balances.credit, 0)', 'currencies.exponent') }} as balance
from {{ ref('stg_erp__account_balances') }} as balances
inner join {{ state('entities') }} as entities on balances.entity_id = entities.entity_id
inner join {{ state('currencies') }} as currencies on entities.functional_currency = currencies.currency
