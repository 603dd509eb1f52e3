-- One row per event that changes a document after it was opened, for documents that need more than one plain payment:
-- apply, credit, credit_void, void, write_off, reduce (refund, lost dispute), restore (failed refund), tax_change.
-- doc_no numbers such documents; step is the order of facts within one.
with documents as (
    select entity_id, document_type, document_id, posting_date, gross_amount, receivable, currency, functional_currency
    from {{ ref('documents') }}
),

credits as (
    {{ posted('can_credit_notes') }}
),

-- A refund waits for its payment.
refunds as (
    select facts.*
    from ({{ posted('can_refunds') }}) as facts
    inner join {{ ref('can_payments') }} as payments
        on facts.entity_id = payments.entity_id and facts.payment_id = payments.payment_id
),

-- Refunds and disputes as reductions of what their payment paid for.
reductions as (
    select * from {{ ref('payment_reductions') }}
),

stated_allocations as (
    select event_key, invoice_id, line_id, cast(sum(amount) as bigint) as amount
    from {{ ref('can_refund_allocations') }}
    group by event_key, invoice_id, line_id
),

-- What a payment paid for: the invoices it was applied to, or the direct sale; each counts with its gross.
paid_documents as (
    select distinct
        applications.entity_id, applications.payment_id, applications.invoice_entity_id as document_entity_id,
        'invoice' as document_type, applications.invoice_id as document_id
    from {{ ref('cash_applications') }} as applications
    where applications.is_invoice_known
    union
    select entity_id, document_id as payment_id, entity_id as document_entity_id, 'payment' as document_type, document_id
    from documents
    where document_type = 'payment'
),

paid_by_reductions as (
    select
        reductions.event_key, reductions.entity_id, reductions.accounting_date, reductions.time, reductions.sequence, reductions.event_id,
        reductions.posting_date, reductions.payment_id, reductions.purpose, reductions.reduction_id, reductions.reduction as amount,
        paid.document_entity_id,
        paid.document_type,
        paid.document_id,
        documents.gross_amount,
        row_number() over (partition by reductions.event_key order by paid.document_type, paid.document_id) as part_no,
        count(*) over (partition by reductions.event_key) as part_count
    from reductions
    inner join paid_documents as paid
        on reductions.entity_id = paid.entity_id and reductions.payment_id = paid.payment_id
    inner join documents
        on paid.document_entity_id = documents.entity_id
        and paid.document_type = documents.document_type
        and paid.document_id = documents.document_id
    where reductions.reduction > 0 and not reductions.is_stated
),

-- Only where a payment paid several documents it matters what earlier credits and stated refunds left of each.
taken_before as (
    select
        later.event_key, later.document_entity_id, later.document_id,
        cast(sum(earlier.gross) as bigint) as gross
    from paid_by_reductions as later
    inner join (
        select
            credits.entity_id, credits.invoice_id, {{ fact_order('credits.') }},
            lines.amount + coalesce(lines.tax_amount, {{ share('invoiced.tax_amount', 'lines.amount', 'invoiced.amount') }}) as gross
        from credits
        inner join {{ ref('can_credit_note_lines') }} as lines on credits.event_key = lines.event_key
        inner join {{ ref('can_invoice_lines') }} as invoiced
            on credits.entity_id = invoiced.entity_id and credits.invoice_id = invoiced.invoice_id
            and lines.invoice_line_id = invoiced.line_id
        left join {{ ref('can_credit_note_voids') }} as voids
            on credits.entity_id = voids.entity_id and credits.credit_note_id = voids.credit_note_id
        where voids.event_key is null
        union all
        select reductions.entity_id, allocations.invoice_id, {{ fact_order('reductions.') }}, allocations.amount as gross
        from reductions
        inner join stated_allocations as allocations on reductions.event_key = allocations.event_key
    ) as earlier
        on later.document_entity_id = earlier.entity_id and later.document_id = earlier.invoice_id
        and (later.posting_date, later.accounting_date, later.time, later.sequence, later.event_id)
        > (earlier.posting_date, earlier.accounting_date, earlier.time, earlier.sequence, earlier.event_id)
    where later.part_count > 1 and later.document_type = 'invoice'
    group by later.event_key, later.document_entity_id, later.document_id
),

weighted as (
    select
        paid.* exclude (gross_amount),
        greatest(paid.gross_amount - coalesce(taken.gross, 0), 0) as gross_amount,
        sum(greatest(paid.gross_amount - coalesce(taken.gross, 0), 0)) over (partition by paid.event_key) as whole
    from paid_by_reductions as paid
    left join taken_before as taken
        on paid.event_key = taken.event_key and paid.document_entity_id = taken.document_entity_id
        and paid.document_type = 'invoice' and paid.document_id = taken.document_id
),

floored as (
    select
        *,
        case
            when part_count = 1 or whole = 0 then case when part_no = 1 then amount else 0 end
            else {{ floor_share("amount", "gross_amount", "whole") }}
        end as floor_amount
    from weighted
),

apportioned as (
    select
        *,
        floor_amount + case
            when row_number() over (
                partition by event_key
                order by case
                    when whole = 0 or part_count = 1 then 0
                    else cast(amount as hugeint) * gross_amount - cast(floor_amount as hugeint) * whole
                end desc, part_no
            ) <= amount - sum(floor_amount) over (partition by event_key) then 1 else 0
        end as document_amount
    from floored
),

events as (
    select
        applications.invoice_entity_id as entity_id, 'invoice' as document_type, applications.invoice_id as document_id,
        'apply' as kind, applications.event_key, applications.posting_date, applications.accounting_date, applications.time,
        applications.sequence, applications.event_id, applications.amount, applications.application_no as part_no,
        cast(null as varchar) as purpose, applications.payment_id as reference_id
    from {{ ref('cash_applications') }} as applications
    where applications.is_invoice_known
    union all
    select
        entity_id, 'invoice' as document_type, invoice_id as document_id, 'credit' as kind, event_key, posting_date,
        accounting_date, time, sequence, event_id, net_amount as amount, 0 as part_no, timing as purpose, credit_note_id as reference_id
    from credits
    union all
    select
        voids.entity_id, 'invoice' as document_type, credits.invoice_id as document_id, 'credit_void' as kind, voids.event_key,
        voids.posting_date, voids.accounting_date, voids.time, voids.sequence, voids.event_id, 0 as amount, 0 as part_no,
        credits.timing as purpose, voids.credit_note_id as reference_id
    from ({{ posted('can_credit_note_voids') }}) as voids
    inner join credits on voids.entity_id = credits.entity_id and voids.credit_note_id = credits.credit_note_id
    union all
    select
        entity_id, 'invoice' as document_type, invoice_id as document_id,
        case event_type when 'invoice.voided' then 'void' else 'write_off' end as kind, event_key, posting_date,
        accounting_date, time, sequence, event_id, 0 as amount, 0 as part_no, null as purpose, invoice_id as reference_id
    from ({{ posted('can_invoice_ends') }}) as ends
    union all
    select
        document_entity_id as entity_id, document_type, document_id, 'reduce' as kind, event_key, posting_date,
        accounting_date, time, sequence, event_id, document_amount as amount, part_no, purpose, reduction_id as reference_id
    from apportioned
    union all
    select
        reductions.entity_id, 'invoice' as document_type, allocations.invoice_id as document_id, 'reduce' as kind,
        reductions.event_key, reductions.posting_date, reductions.accounting_date, reductions.time, reductions.sequence,
        reductions.event_id, sum(allocations.amount) as amount, 0 as part_no, reductions.purpose, reductions.reduction_id as reference_id
    from reductions
    inner join stated_allocations as allocations on reductions.event_key = allocations.event_key
    group by all
    union all
    select
        coalesce(apportioned.document_entity_id, failures.entity_id) as entity_id,
        coalesce(apportioned.document_type, 'invoice') as document_type,
        coalesce(apportioned.document_id, allocated.invoice_id) as document_id, 'restore' as kind, failures.event_key,
        failures.posting_date, failures.accounting_date, failures.time, failures.sequence, failures.event_id, 0 as amount,
        0 as part_no, 'refund' as purpose, failures.refund_id as reference_id
    from ({{ posted('can_refund_failures') }}) as failures
    inner join refunds on failures.entity_id = refunds.entity_id and failures.refund_id = refunds.refund_id
    left join apportioned on refunds.event_key = apportioned.event_key
    left join (select distinct event_key, invoice_id from stated_allocations) as allocated on refunds.event_key = allocated.event_key
    where refunds.credit_note_id is null and coalesce(apportioned.document_id, allocated.invoice_id) is not null
    union all
    select
        entity_id, 'invoice' as document_type, document_id, 'tax_change' as kind, event_key, posting_date, accounting_date,
        time, sequence, event_id, cast(sum(new_amount - old_amount) as bigint) as amount, 0 as part_no, null as purpose, document_id as reference_id
    from ({{ posted('can_tax_recalculations') }}) as recalculated
    where document_type = 'invoice'
    group by all
),

known as (
    select
        events.* exclude (posting_date),
        greatest(events.posting_date, documents.posting_date) as posting_date,
        documents.receivable,
        documents.currency,
        policies.payment_tolerance
    from events
    inner join documents
        on events.entity_id = documents.entity_id
        and events.document_type = documents.document_type
        and events.document_id = documents.document_id
    inner join {{ ref('line_policies') }} as policies
        on events.entity_id = policies.entity_id
        and policies.product_family = 'default'
        and documents.currency = policies.currency
),

-- A document whose only events are payments that fit its receivable needs no state; the rest is numbered.
active as (
    select
        entity_id, document_type, document_id,
        row_number() over (order by entity_id, document_type, document_id) as doc_no
    from (
        select entity_id, document_type, document_id
        from known
        group by entity_id, document_type, document_id
        having
            count(*) filter (where kind <> 'apply') > 0
            or sum(amount) > greatest(max(receivable), 0)
            or min(amount) < 0
            or max(payment_tolerance) > 0
    ) as needing
)

select
    cast(active.doc_no as integer) as doc_no,
    cast(row_number() over (
        partition by active.doc_no order by {{ fact_order('known.') }}, known.part_no
    ) as integer) as step,
    known.entity_id,
    known.document_type,
    known.document_id,
    known.kind,
    known.purpose,
    known.reference_id,
    known.event_key,
    known.posting_date,
    cast(known.amount as bigint) as amount,
    known.payment_tolerance
from known
inner join active
    on known.entity_id = active.entity_id
    and known.document_type = active.document_type
    and known.document_id = active.document_id
