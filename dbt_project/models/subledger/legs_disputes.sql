-- One row per money leg of a dispute: withdrawn, given back, fees, and the parked claim.
{{ config(materialized='ephemeral') }}
with entities as (
    select entity_id, functional_currency from {{ state('entities') }}
),

steps as (
    select
        steps.*,
        cases.dispute_policy,
        cases.payment_id as disputed_payment_id,
        coalesce(steps.currency, cases.currency) as sale_currency,
        cases.withdrawn - cases.reinstated as still_withdrawn,
        entities.functional_currency
    from ({{ posted('can_dispute_events') }}) as steps
    inner join {{ ref('dispute_cases') }} as cases
        on steps.entity_id = cases.entity_id and steps.dispute_id = cases.dispute_id
    inner join entities on steps.entity_id = entities.entity_id
),

txns as (
    select
        txns.event_key, txns.txn_no, txns.bt_account, txns.bt_currency, txns.bt_net,
        case when txns.bt_type = 'dispute_fee' then txns.bt_fee - txns.bt_gross else txns.bt_fee end as fee,
        case when txns.bt_type = 'dispute_fee' then 0 else txns.bt_gross end as gross,
        case when txns.bt_currency = entities.functional_currency then cast(1 as hugeint) else coalesce(own.num, rates.num) end as rate_num,
        case when txns.bt_currency = entities.functional_currency then cast(1 as hugeint) else coalesce(own.den, rates.den) end as rate_den
    from {{ ref('can_dispute_txns') }} as txns
    inner join entities on txns.entity_id = entities.entity_id
    left join {{ ref('processor_rates') }} as own on txns.event_key = own.event_key and txns.txn_no = own.txn_no
    left join {{ ref('spot_rates') }} as rates
        on txns.entity_id = rates.entity_id and txns.bt_currency = rates.currency and txns.accounting_date = rates.rate_date
),

money as (
    select
        steps.*, txns.txn_no, txns.bt_account, txns.bt_currency, txns.bt_net, txns.fee,
        {{ half_up('txns.bt_net * txns.rate_num', 'txns.rate_den') }} as net_fc,
        {{ half_up('txns.fee * txns.rate_num', 'txns.rate_den') }} as fee_fc
    from steps
    inner join txns on steps.event_key = txns.event_key
),

-- A dispute without any balance transaction moves the sale's own amount.
without_txns as (
    select steps.*, case steps.event_type when 'dispute.funds_withdrawn' then -steps.amount else steps.amount end as moved
    from steps
    left join txns on steps.event_key = txns.event_key
    where txns.event_key is null and steps.event_type in ('dispute.funds_withdrawn', 'dispute.funds_reinstated')
),

gross_values as (
    select event_key, cast(sum({{ half_up('gross * rate_num', 'rate_den') }}) as bigint) as gross_fc
    from txns
    group by 1
),

payment_documents as (
    select entity_id, document_id from {{ ref('documents') }}
    where document_type = 'payment'
),

-- The claim stands at the rate of the sale.
sale_rates as (
    select
        paid.entity_id, paid.payment_id, min_by(documents.rate_num, documents.document_id) as rate_num,
        min_by(documents.rate_den, documents.document_id) as rate_den
    from (
        select distinct entity_id, payment_id, invoice_id as document_id, 'invoice' as document_type
        from {{ ref('cash_applications') }}
        where is_invoice_known and entity_id = invoice_entity_id
        union
        select entity_id, document_id as payment_id, document_id, 'payment' as document_type
        from payment_documents
    ) as paid
    inner join {{ ref('documents') }} as documents
        on paid.entity_id = documents.entity_id and paid.document_type = documents.document_type
        and paid.document_id = documents.document_id
    group by 1, 2
),

claims as (
    select
        steps.*,
        case steps.event_type when 'dispute.closed' then steps.still_withdrawn else steps.amount end as claim,
        case
            when steps.sale_currency = steps.functional_currency
                then case steps.event_type when 'dispute.closed' then steps.still_withdrawn else steps.amount end
            when sale_rates.rate_num is not null then {{ half_up(
                "case steps.event_type when 'dispute.closed' then steps.still_withdrawn else steps.amount end * sale_rates.rate_num",
                'sale_rates.rate_den') }}
            else abs(gross_values.gross_fc)
        end as claim_fc,
        abs(gross_values.gross_fc) as moved_fc
    from steps
    left join sale_rates on steps.entity_id = sale_rates.entity_id and steps.disputed_payment_id = sale_rates.payment_id
    left join gross_values on steps.event_key = gross_values.event_key
    where
        steps.event_type <> 'dispute.opened'
        and (steps.event_type <> 'dispute.closed' or (steps.outcome = 'lost' and steps.still_withdrawn <> 0))
),

-- What no document holds: above the charge it is lost, else it was never applied, or is an advance.
unplaced as (
    select
        claims.*,
        payments.customer_id as payer_id,
        coalesce(payments.is_advance, false) as is_advance,
        reductions.over_charge,
        reductions.amount - coalesce(placed.amount, 0) - reductions.over_charge as rest
    from claims
    inner join {{ ref('payment_reductions') }} as reductions on claims.event_key = reductions.event_key
    left join {{ ref('can_payments') }} as payments
        on claims.entity_id = payments.entity_id and claims.disputed_payment_id = payments.payment_id
    left join (
        select event_key, cast(sum(amount) as bigint) as amount
        from {{ ref('reduction_totals') }}
        group by 1
    ) as placed on claims.event_key = placed.event_key
),

unplaced_values as (
    select
        *,
        {{ share('claim_fc', 'rest', 'claim') }} as rest_fc,
        {{ share('claim_fc', 'over_charge', 'claim') }} as over_charge_fc
    from unplaced
)

{{ leg('money', "'processor_clearing'", 'bt_net', 'net_fc', leg_no='txn_no * 2', document_type="'dispute'", document_id='dispute_id',
    currency='bt_currency', pool="'processor_clearing|' || bt_account") }}
union all
{{ leg('money', "'dispute_fees'", 'fee', 'fee_fc', leg_no='txn_no * 2 + 1', document_type="'dispute'", document_id='dispute_id',
    currency='bt_currency') }}
union all
{{ leg('without_txns', "'processor_clearing'", 'moved', 'moved', leg_no=1, document_type="'dispute'", document_id='dispute_id',
    currency='sale_currency', pool="'processor_clearing|default'") }}
union all
{{ leg('claims', "'disputes_receivable'", "case event_type when 'dispute.funds_withdrawn' then claim else -claim end",
    "case event_type when 'dispute.funds_withdrawn' then claim_fc else -claim_fc end", is_release="event_type <> 'dispute.funds_withdrawn'",
    leg_no=90, document_type="'dispute'", document_id='dispute_id', currency='sale_currency', pool="'disputes_receivable|' || dispute_id",
    where="dispute_policy = 'park_in_receivable'") }}
union all
{{ leg('claims', "'recoverables'", '-claim', '-coalesce(moved_fc, claim_fc)', leg_no=91, document_type="'dispute'", document_id='dispute_id',
    currency='sale_currency', where="dispute_policy = 'proportional_contra' and event_type = 'dispute.funds_reinstated'") }}
union all
{{ leg('unplaced_values', "case when is_advance then 'deferred_revenue' else 'unapplied_cash' end", 'rest', 'rest_fc', is_release='true', leg_no=92,
    document_type="'dispute'", document_id='dispute_id', currency='sale_currency', customer_id='payer_id',
    pool="case when is_advance then 'advance|' else 'unapplied_cash|' end || disputed_payment_id") }}
union all
{{ leg('unplaced_values', "'other_loss'", 'over_charge', 'over_charge_fc', leg_no=93, document_type="'dispute'", document_id='dispute_id',
    currency='sale_currency') }}
union all
{{ intercompany_legs("'dispute'") }}
