-- One row per leg of opening balances, adjustments of stored credit and recalculated tax of credit notes.
{{ config(materialized='ephemeral') }}
with entities as (
    select entity_id, functional_currency from {{ state('entities') }}
),

openings as (
    select
        balances.*,
        entities.functional_currency,
        'opening_balance.loaded' as event_type,
        'opening_balance' as document_type,
        coalesce(balances.document_id, balances.event_id) as own_document_id,
        case
            when balances.currency = entities.functional_currency then balances.amount
            else coalesce(balances.amount_fc, {{ half_up('balances.amount * coalesce(rates.num, 0)', 'coalesce(rates.den, 1)') }})
        end as value_fc,
        balances.account_role || '|' || coalesce(balances.document_id, balances.customer_id, '') as item
    from ({{ posted('can_opening_balances') }}) as balances
    inner join entities on balances.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as rates
        on balances.entity_id = rates.entity_id and balances.currency = rates.currency and balances.accounting_date = rates.rate_date
),

adjustments as (
    select
        adjustments.*,
        entities.functional_currency,
        'customer_balance.adjusted' as event_type,
        'customer_balance' as document_type,
        coalesce(rates.num, 1) as rate_num,
        coalesce(rates.den, 1) as rate_den
    from ({{ posted('can_customer_balance_adjustments') }}) as adjustments
    inner join entities on adjustments.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as rates
        on adjustments.entity_id = rates.entity_id and adjustments.currency = rates.currency
        and adjustments.accounting_date = rates.rate_date
),

recalculated as (
    select
        changes.*,
        'tax.recalculated' as event_type,
        'credit_note' as own_document_type,
        changes.new_amount - changes.old_amount as difference,
        credits.currency,
        credits.invoice_id,
        documents.customer_id,
        documents.functional_currency,
        documents.rate_num,
        documents.rate_den
    from ({{ posted('can_tax_recalculations') }}) as changes
    inner join {{ ref('can_credit_notes') }} as credits
        on changes.entity_id = credits.entity_id and changes.document_id = credits.credit_note_id
    inner join {{ ref('documents') }} as documents
        on credits.entity_id = documents.entity_id and documents.document_type = 'invoice' and credits.invoice_id = documents.document_id
    where changes.document_type = 'credit_note'
)

{{ leg('openings', 'account_role', 'amount', 'value_fc', leg_no='line_no * 2', document_id='own_document_id', customer_id='customer_id', pool='item') }}
union all
{{ leg('openings', "'opening_balance'", '-amount', '-value_fc', leg_no='line_no * 2 + 1', document_id='own_document_id', customer_id='customer_id') }}
union all
{{ leg('adjustments', "'customer_balance'", '-amount', '-(' ~ at_rate('amount') ~ ')', is_release='amount < 0', leg_no=1, document_id='adjustment_id',
    customer_id='customer_id', pool="'customer_balance|' || customer_id") }}
union all
{{ leg('adjustments', 'counter_role', 'amount', at_rate('amount'), leg_no=2, document_id='adjustment_id', customer_id='customer_id') }}
union all
{{ leg('recalculated', "'tax_liability'", 'difference', at_rate('difference'), leg_no='line_no * 2', document_type='own_document_type',
    customer_id='customer_id', jurisdiction='jurisdiction', tax_code='tax_code') }}
union all
{{ leg('recalculated', "'accounts_receivable'", '-difference', '-(' ~ at_rate('difference') ~ ')', is_release='true', leg_no='line_no * 2 + 1',
    document_type='own_document_type', customer_id='customer_id', pool="'accounts_receivable|' || invoice_id") }}
