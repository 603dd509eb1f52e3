-- One row per shared or collected amount between two entities: payable of one against receivable of the other (R14).
{{ config(tags=['before_posting']) }}

with pairs_of_lines as (
    select
        entity_id,
        account_role,
        customer_id as counterparty,
        currency,
        accounting_date,
        event_key || '|' || document_id || '|' || coalesce(document_line_id, '') || '|' || period as item_key,
        document_id,
        correlation_id,
        amount_tc
    from {{ ref('journal_lines') }}
    where account_role in ('intercompany_payable', 'intercompany_receivable') and event_type not like 'fx.%'
),

left_side as (
    select
        entity_id,
        max(accounting_date) as item_date,
        currency,
        item_key,
        cast(-sum(amount_tc) as bigint) as amount,
        max(document_id) as reference,
        cast(null as varchar) as customer_id,
        max(correlation_id) as correlation_id
    from pairs_of_lines
    where account_role = 'intercompany_payable'
    group by entity_id, counterparty, currency, item_key
),

-- The receivable stands in the books of the counterparty; it answers for the entity that owes.
right_side as (
    select
        counterparty as entity_id,
        max(accounting_date) as item_date,
        currency,
        item_key,
        cast(sum(amount_tc) as bigint) as amount,
        max(document_id) as reference,
        cast(null as varchar) as customer_id,
        max(correlation_id) as correlation_id
    from pairs_of_lines
    where account_role = 'intercompany_receivable'
    group by entity_id, counterparty, currency, item_key
),

pairs as (
    {{ recon_pairs('R14', 'left_side', 'right_side') }}
),

classes as (
    select
        pairs.*,
        {{ recon_class([]) }} as variance_class
    from pairs
),

classified as (
    select
        *,
        coalesce(left_reference, right_reference) as reference,
        'Payable and receivable of the pair differ.' as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
)

{{ recon_items('R14', 'classified') }}
