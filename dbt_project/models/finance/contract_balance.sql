-- One row per contract, or per document without one, at the cut-off: contract liability (current, later) or asset, and the
-- remaining performance obligation.
select
    balances.entity_id as entity_code,
    balances.source_type,
    balances.source_id,
    coalesce(balances.customer_id, '') as customer_id,
    balances.as_of,
    balances.currency,
    cast(currencies.exponent as integer) as minor_unit,
    {{ recon_to_major('balances.liability', 'currencies.exponent') }} as contract_liability,
    {{ recon_to_major('balances.liability_current', 'currencies.exponent') }} as liability_current,
    {{ recon_to_major('balances.liability_non_current', 'currencies.exponent') }} as liability_non_current,
    {{ recon_to_major('balances.asset', 'currencies.exponent') }} as contract_asset,
    {{ recon_to_major('balances.rpo', 'currencies.exponent') }} as rpo,
    {{ recon_to_major('balances.rpo_within_year', 'currencies.exponent') }} as rpo_within_year,
    {{ recon_to_major('balances.rpo_later', 'currencies.exponent') }} as rpo_later,
    {{ recon_to_major('balances.rpo_undated', 'currencies.exponent') }} as rpo_undated
from {{ ref('contract_balances') }} as balances
inner join {{ state('currencies') }} as currencies on balances.currency = currencies.currency
