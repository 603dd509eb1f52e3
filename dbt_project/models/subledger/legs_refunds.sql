-- One row per money leg of a refund or of its failure: what leaves, and what it pays where no document line does.
{{ config(materialized='ephemeral') }}
with refunds as (
    select
        refunds.*,
        settlements.settled_currency,
        settlements.functional_currency,
        settlements.gross,
        settlements.gross_fc,
        settlements.fee_fc,
        policies.fee_method,
        payments.channel,
        coalesce(payments.is_advance, false) as is_advance,
        payments.customer_id
    from ({{ posted('can_refunds') }}) as refunds
    inner join {{ ref('settlements') }} as settlements on refunds.event_key = settlements.event_key
    -- a refund waits for its payment
    inner join {{ ref('can_payments') }} as payments
        on refunds.entity_id = payments.entity_id and refunds.payment_id = payments.payment_id
    inner join {{ ref('line_policies') }} as policies
        on refunds.entity_id = policies.entity_id and policies.product_family = 'default' and refunds.currency = policies.currency
),

placed as (
    select event_key, cast(sum(amount) as bigint) as amount
    from {{ ref('reduction_totals') }}
    group by 1
),

moves as (
    select
        refunds.*, 'refund.issued' as event_type, 1 as direction, coalesce(placed.amount, 0) as placed_amount,
        coalesce(reductions.over_charge, 0) as over_charge
    from refunds
    left join placed on refunds.event_key = placed.event_key
    left join {{ ref('payment_reductions') }} as reductions on refunds.event_key = reductions.event_key
    union all
    select
        refunds.* replace (
            failures.event_key as event_key, failures.posting_date as posting_date, failures.accounting_date as accounting_date,
            failures.is_prior_period as is_prior_period, failures.correlation_id as correlation_id
        ),
        'refund.failed' as event_type, -1 as direction, coalesce(placed.amount, 0) as placed_amount,
        coalesce(reductions.over_charge, 0) as over_charge
    from ({{ posted('can_refund_failures') }}) as failures
    inner join refunds on failures.entity_id = refunds.entity_id and failures.refund_id = refunds.refund_id
    left join placed on refunds.event_key = placed.event_key
    left join {{ ref('payment_reductions') }} as reductions on refunds.event_key = reductions.event_key
),

valued as (
    select
        *,
        'refund' as document_type,
        direction * over_charge as lost,
        direction * {{ share('gross_fc', 'over_charge', 'amount') }} as lost_fc,
        direction * (amount - placed_amount - over_charge) as unplaced,
        direction * {{ share('gross_fc', 'amount - placed_amount - over_charge', 'amount') }} as unplaced_fc,
        case channel when 'bank' then 'cash' when 'external' then 'external_asset' else 'processor_clearing' end as money_role
    from moves
)

{{ leg('valued', 'money_role', '-direction * (gross + bt_fee)', '-direction * (gross_fc + fee_fc)', leg_no=1, document_id='refund_id',
    currency='settled_currency', customer_id='customer_id',
    pool="case when money_role = 'processor_clearing' then 'processor_clearing|' || bt_account end") }}
union all
{{ leg('valued', "case fee_method when 'net' then 'revenue' else 'fees' end", 'direction * bt_fee', 'direction * fee_fc', leg_no=2,
    document_id='refund_id', currency='settled_currency', customer_id='customer_id') }}
union all
{{ leg('valued', "'refund_liability'", 'unplaced', 'unplaced_fc', is_release='direction = 1', leg_no=3, document_id='refund_id',
    customer_id='customer_id', pool="'refund_liability|' || credit_note_id", where='credit_note_id is not null') }}
union all
{{ leg('valued', "case when is_advance then 'deferred_revenue' else 'unapplied_cash' end", 'unplaced', 'unplaced_fc', is_release='direction = 1',
    leg_no=4, document_id='refund_id', customer_id='customer_id',
    pool="case when is_advance then 'advance|' else 'unapplied_cash|' end || payment_id", where='credit_note_id is null') }}
union all
{{ leg('valued', "'other_loss'", 'lost', 'lost_fc', leg_no=5, document_id='refund_id', customer_id='customer_id') }}
union all
{{ intercompany_legs("'refund'") }}
