-- One row per line of a document, with the policy that governs it and how its revenue comes about (treatment):
-- revenue (own schedule), usage (accrued when rated), contract (only bills an obligation), pending (not invoiced yet).
-- A line of an obligation with a right to invoice (as_invoiced) is its revenue.
with lines as (
    select
        entity_id, 'invoice' as document_type, invoice_id as document_id, line_id, line_no, amount as net_amount, tax_amount,
        discount_amount, product_family, service_start, service_end, charge_kind, subscription_item_id, contract_id,
        contract_line_id, pending_charge_id
    from {{ ref('can_invoice_lines') }}
    union all
    select
        entity_id, 'payment' as document_type, payment_id as document_id, 'direct_charge' as line_id, 1 as line_no,
        direct_amount as net_amount, direct_tax_amount as tax_amount, 0 as discount_amount, direct_product_family as product_family,
        direct_service_start as service_start, direct_service_end as service_end, null as charge_kind,
        null as subscription_item_id, null as contract_id, null as contract_line_id, null as pending_charge_id
    from {{ ref('can_payments') }}
    where is_direct_charge
    union all
    select
        entity_id, 'pending_charge' as document_type, pending_charge_id as document_id, pending_charge_id as line_id, 1 as line_no,
        amount as net_amount, 0 as tax_amount, 0 as discount_amount, product_family, service_start, service_end,
        null as charge_kind, subscription_item_id, null as contract_id, null as contract_line_id, null as pending_charge_id
    from {{ ref('can_pending_charges') }}
),

known_contracts as (
    select distinct entity_id, contract_id from {{ ref('can_contracts') }}
),

-- A line that names no obligation of its contract bills the first.
billed_obligations as (
    select lines.entity_id, lines.document_type, lines.document_id, lines.line_id, obligations.recognition
    from lines
    inner join {{ ref('contract_obligations') }} as obligations
        on lines.entity_id = obligations.entity_id and lines.contract_id = obligations.contract_id
        and (lines.contract_line_id = obligations.line_id or (lines.contract_line_id is null and obligations.line_no = 1))
),

governed as (
    select
        lines.*,
        documents.event_key,
        documents.event_type,
        documents.customer_id,
        documents.currency,
        documents.functional_currency,
        documents.posting_date,
        documents.accounting_date,
        documents.is_prior_period,
        documents.recorded_time,
        documents.correlation_id,
        documents.rate_num,
        documents.rate_den,
        case when billed_obligations.recognition = 'as_invoiced' then 'as_invoiced' else policies.recognition end as recognition,
        policies.schedule_rounding as rounding,
        policies.immediate_max_days,
        policies.credit_split,
        policies.contra_presentation,
        policies.refund_policy,
        policies.uncollectible_policy,
        policies.bad_debt_tax_relief,
        policies.policy_hash,
        case when policies.discount_presentation = 'contra' then lines.discount_amount else 0 end as contra_discount,
        case
            when lines.document_type = 'pending_charge' then 'pending'
            when known_contracts.contract_id is not null and coalesce(billed_obligations.recognition, '') <> 'as_invoiced' then 'contract'
            when lines.charge_kind = 'usage' then 'usage'
            else 'revenue'
        end as treatment
    from lines
    inner join {{ ref('documents') }} as documents
        on lines.entity_id = documents.entity_id
        and lines.document_type = documents.document_type
        and lines.document_id = documents.document_id
    inner join {{ ref('line_policies') }} as policies
        on lines.entity_id = policies.entity_id
        and lines.product_family = policies.product_family
        and documents.currency = policies.currency
    left join known_contracts
        on lines.entity_id = known_contracts.entity_id and lines.contract_id = known_contracts.contract_id
    left join billed_obligations
        on lines.entity_id = billed_obligations.entity_id and lines.document_type = billed_obligations.document_type
        and lines.document_id = billed_obligations.document_id and lines.line_id = billed_obligations.line_id
    where documents.event_type <> 'opening_balance.loaded'
)

select
    * exclude (immediate_max_days),
    treatment in ('contract', 'usage')
    or service_start is null
    or service_end is null
    or service_end <= service_start
    or recognition in ('as_invoiced', 'point_in_time', 'proportional_performance', 'breakage')
    or (service_end - service_start) <= immediate_max_days as at_once
from governed
