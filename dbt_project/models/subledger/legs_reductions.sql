-- One row per leg that an event books on the lines of a document: credit notes and their voiding, refunds, disputes,
-- voids, write-offs and recalculated tax. Money legs of refunds and disputes stand in legs_payments.
{{ config(materialized='ephemeral') }}
with effects as (
    select
        effects.*,
        documents.currency,
        documents.functional_currency,
        documents.customer_id,
        documents.rate_num,
        documents.rate_den,
        coalesce(lines.product_family, 'default') as product_family,
        coalesce(lines.contra_presentation, 'contra') as contra_presentation,
        coalesce(lines.treatment, 'revenue') as treatment,
        coalesce(lines.bad_debt_tax_relief, false) as bad_debt_tax_relief,
        coalesce(lines.net_amount, 0) as line_net,
        coalesce(lines.tax_amount, 0) as line_tax,
        coalesce(lines_fc.net_fc, lines.net_amount, 0) as net_fc,
        coalesce(lines_fc.tax_fc, lines.tax_amount, 0) as tax_fc,
        deferred.amount_fc as deferred_fc,
        facts.type as event_type,
        facts.effective_date as accounting_date,
        facts.correlation_id,
        coalesce(verdicts.is_prior_period, false) as is_prior_period,
        case effects.kind
            when 'write_off' then 'bad_debt'
            when 'void' then case when coalesce(lines.contra_presentation, 'contra') = 'contra' then 'voids' else 'revenue' end
            when 'credit' then case when coalesce(lines.contra_presentation, 'contra') = 'contra' then 'credit_notes' else 'revenue' end
            when 'credit_void' then case when coalesce(lines.contra_presentation, 'contra') = 'contra' then 'credit_notes' else 'revenue' end
            else case effects.purpose when 'dispute' then 'disputes' else 'refunds' end
        end as contra_role
    from {{ ref('line_effects') }} as effects
    inner join {{ ref('documents') }} as documents
        on effects.entity_id = documents.entity_id and effects.document_type = documents.document_type
        and effects.document_id = documents.document_id
    left join {{ ref('document_lines') }} as lines
        on effects.entity_id = lines.entity_id and effects.document_type = lines.document_type
        and effects.document_id = lines.document_id and effects.line_id = lines.line_id
    left join {{ ref('document_line_values') }} as lines_fc
        on effects.entity_id = lines_fc.entity_id and effects.document_type = lines_fc.document_type
        and effects.document_id = lines_fc.document_id and effects.line_id = lines_fc.line_id
    left join {{ ref('deferred_values') }} as deferred
        on effects.entity_id = deferred.entity_id and effects.document_type = deferred.document_type
        and effects.document_id = deferred.document_id and effects.line_id = deferred.line_id
        and deferred.kind = 'effect' and effects.step = deferred.part_no
    inner join {{ ref('events') }} as facts on effects.event_key = facts.event_key
    left join {{ ref('event_verdicts') }} as verdicts on effects.event_key = verdicts.event_key
    where effects.kind <> 'apply' and not effects.eff_over_credit
),

-- A lost parked dispute keeps its tax unless the jurisdiction gives relief; a write-off keeps it in bad debt.
placed as (
    select
        *,
        case
            when kind = 'write_off' then bad_debt_tax_relief
            when kind = 'reduce' and purpose = 'dispute' and event_type = 'dispute.closed' then bad_debt_tax_relief
            else true
        end as is_tax_relieved,
        10 as leg_base
    from effects
),

valued as (
    select
        *,
        case when currency = functional_currency then eff_recognised else {{ share('net_fc', 'eff_recognised', 'line_net') }} end as recognised_fc,
        case
            when currency = functional_currency then eff_unrecognised
            else coalesce(deferred_fc, {{ share('net_fc', 'eff_unrecognised', 'line_net') }})
        end as unrecognised_fc,
        case
            when currency = functional_currency then eff_tax
            when line_tax = 0 then {{ at_rate('eff_tax') }}
            else {{ share('tax_fc', 'eff_tax', 'line_tax') }}
        end as taxes_fc
    from placed
),

taxed as (
    select
        valued.*,
        coalesce(taxes.tax_line_no, 1) as tax_line_no,
        taxes.tax_code as leg_tax_code,
        taxes.jurisdiction as leg_jurisdiction,
        case
            when taxes.amount is null or valued.line_tax = 0 or valued.kind = 'tax_change' then valued.eff_tax
            else
                {{ share('valued.eff_tax', 'taxes.tax_to_here', 'valued.line_tax') }}
                - {{ share('valued.eff_tax', 'taxes.tax_to_here - taxes.amount', 'valued.line_tax') }}
        end as leg_tax,
        case
            when taxes.amount is null or valued.line_tax = 0 or valued.kind = 'tax_change' then valued.taxes_fc
            else
                {{ share('valued.taxes_fc', 'taxes.tax_to_here', 'valued.line_tax') }}
                - {{ share('valued.taxes_fc', 'taxes.tax_to_here - taxes.amount', 'valued.line_tax') }}
        end as leg_tax_fc
    from valued
    left join (
        select
            *,
            sum(amount) over (
                partition by event_key, line_no order by tax_line_no rows between unbounded preceding and current row
            ) as tax_to_here
        from {{ ref('can_invoice_tax_lines') }}
    ) as taxes
        on valued.document_type = 'invoice' and valued.entity_id = taxes.entity_id
        and valued.document_id = taxes.invoice_id and valued.line_id = taxes.line_id
    where valued.eff_tax <> 0 and (valued.kind <> 'tax_change' or coalesce(taxes.tax_line_no, 1) = 1)
),

-- How a post-payment credit goes back: as stated, else the way the money came.
ways_in as (
    select
        applications.invoice_entity_id as entity_id,
        applications.invoice_id,
        cast(sum(applications.amount) filter (where payments.channel <> 'external') as bigint) as paid,
        cast(sum(applications.amount) filter (where payments.channel = 'external') as bigint) as paid_outside
    from {{ ref('cash_applications') }} as applications
    inner join {{ ref('can_payments') }} as payments
        on applications.entity_id = payments.entity_id and applications.payment_id = payments.payment_id
    group by 1, 2
),

notes as (
    select
        valued.event_key, valued.event_type, valued.entity_id, valued.posting_date, valued.accounting_date, valued.is_prior_period,
        valued.document_type, valued.document_id, valued.currency, valued.functional_currency, valued.customer_id, valued.correlation_id,
        valued.rate_num, valued.rate_den, valued.purpose, valued.reference_id, valued.leg_base,
        cast(sum(valued.eff_net + valued.eff_tax) as bigint) as gross,
        cast(sum(valued.recognised_fc + valued.unrecognised_fc + valued.taxes_fc) as bigint) as gross_fc,
        max(credits.has_settlement) as has_settlement,
        max(case when credits.has_settlement then credits.settlement_refund else coalesce(ways_in.paid, 0) end) as refund_weight,
        max(case
            when credits.has_settlement then credits.settlement_customer_balance
            else greatest(documents.customer_balance_applied, 0)
        end) as balance_weight,
        max(case when credits.has_settlement then credits.settlement_out_of_band else coalesce(ways_in.paid_outside, 0) end) as outside_weight
    from valued
    inner join {{ ref('can_credit_notes') }} as credits
        on valued.entity_id = credits.entity_id and valued.reference_id = credits.credit_note_id
    inner join {{ ref('documents') }} as documents
        on valued.entity_id = documents.entity_id and valued.document_type = documents.document_type
        and valued.document_id = documents.document_id
    left join ways_in on valued.entity_id = ways_in.entity_id and valued.document_id = ways_in.invoice_id
    where valued.kind in ('credit', 'credit_void')
    group by all
),

weighed as (
    select *, refund_weight + balance_weight + outside_weight as all_weight from notes
),

settled as (
    select
        *,
        case
            when purpose = 'pre_payment' then 0
            when all_weight = 0 then gross
            else {{ share('gross', 'refund_weight', 'all_weight') }}
        end as to_refund,
        case
            when purpose = 'pre_payment' or all_weight = 0 then 0
            else {{ share('gross', 'refund_weight + balance_weight', 'all_weight') }} - {{ share('gross', 'refund_weight', 'all_weight') }}
        end as to_balance,
        case
            when purpose = 'pre_payment' or all_weight = 0 then 0
            else gross - {{ share('gross', 'refund_weight + balance_weight', 'all_weight') }}
        end as to_outside
    from weighed
)

{{ leg('valued', 'contra_role', "case when kind = 'write_off' or (kind = 'void' and treatment = 'contract') then 0 else eff_recognised end",
    'recognised_fc', leg_no='leg_base + 1000 * line_no + 1', line_id='line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('valued', "'deferred_revenue'", 'eff_unrecognised', 'unrecognised_fc', leg_no='leg_base + 1000 * line_no + 2',
    line_id='line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('taxed', "case when is_tax_relieved then 'tax_liability' else contra_role end",
    "case when kind = 'write_off' and not is_tax_relieved then 0 else leg_tax end", 'leg_tax_fc',
    leg_no='leg_base + 1000 * line_no + 10 + tax_line_no', line_id='line_id', product_family='product_family', customer_id='customer_id',
    jurisdiction='case when is_tax_relieved then leg_jurisdiction end', tax_code='case when is_tax_relieved then leg_tax_code end') }}
union all
{{ leg('valued', "'other_loss'", 'eff_excess', at_rate('eff_excess'), leg_no='leg_base + 1000 * line_no + 3',
    line_id='line_id', product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('valued', "'recoverables'", '-eff_recovered', '-(' ~ at_rate('eff_recovered') ~ ')', leg_no='leg_base + 1000 * line_no + 4',
    customer_id='customer_id') }}
union all
{{ leg('valued', "contra_role", 'eff_recovered_contra', at_rate('eff_recovered_contra'), leg_no='leg_base + 1000 * line_no + 5',
    product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('valued', "'accounts_receivable'", '-eff_receivable', '-(' ~ at_rate('eff_receivable') ~ ')', is_release='eff_receivable > 0',
    pool="'accounts_receivable|' || document_id", leg_no='leg_base + 6', customer_id='customer_id',
    where="kind in ('credit', 'credit_void', 'void', 'write_off', 'tax_change')") }}
union all
{{ leg('valued', "'bad_debt'", 'eff_bad_debt', at_rate('eff_bad_debt'), leg_no='leg_base + 7', customer_id='customer_id',
    product_family='product_family', where="kind in ('void', 'write_off')") }}
union all
{{ leg('valued', "'customer_balance'", '-eff_customer_balance', '-(' ~ at_rate('eff_customer_balance') ~ ')',
    is_release='eff_customer_balance < 0', pool="'customer_balance|' || coalesce(customer_id, '')", leg_no='leg_base + 8', customer_id='customer_id') }}
union all
{{ leg('valued', "'voids'", 'eff_voids_extra', at_rate('eff_voids_extra'), leg_no='leg_base + 9', customer_id='customer_id') }}
union all
{{ leg('settled', "'refund_liability'", '-to_refund', '-(' ~ share('gross_fc', 'to_refund', 'gross') ~ ')', is_release='to_refund < 0',
    pool="'refund_liability|' || reference_id", leg_no='leg_base + 6', customer_id='customer_id') }}
union all
{{ leg('settled', "'customer_balance'", '-to_balance', '-(' ~ share('gross_fc', 'to_balance', 'gross') ~ ')', is_release='to_balance < 0',
    pool="'customer_balance|' || coalesce(customer_id, '')", leg_no='leg_base + 7', customer_id='customer_id') }}
union all
{{ leg('settled', "'external_customer_balance'", '-to_outside', '-(' ~ share('gross_fc', 'to_outside', 'gross') ~ ')',
    leg_no='leg_base + 8', customer_id='customer_id') }}
