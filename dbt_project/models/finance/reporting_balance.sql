-- One row per entity, period and account role: the balance in functional currency and translated into the group's, debit
-- positive; the cumulative translation adjustment is a row of its own.
select
    balances.entity_id as entity_code,
    balances.period,
    balances.account_role,
    balances.kind,
    balances.functional_currency,
    cast(functional.exponent as integer) as functional_minor_unit,
    {{ recon_to_major('balances.closing_fc', 'functional.exponent') }} as functional_balance,
    balances.reporting_currency as currency,
    cast(reporting.exponent as integer) as minor_unit,
    {{ recon_to_major('coalesce(balances.activity_rc, 0)', 'reporting.exponent') }} as activity,
    {{ recon_to_major('coalesce(balances.closing_rc, 0)', 'reporting.exponent') }} as balance,
    balances.is_translated
from {{ ref('reporting_balances') }} as balances
inner join {{ state('currencies') }} as functional on balances.functional_currency = functional.currency
inner join {{ state('currencies') }} as reporting on balances.reporting_currency = reporting.currency
