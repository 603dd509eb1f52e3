-- One row per subscription item, billing period and month: expected charges against invoice lines net of credits (R2).
{{ config(tags=['before_posting']) }}

with expected as (
    select * from {{ ref('expected_charges') }}
    where kind in ('charge', 'credit') and bill_date <= {{ as_of_date() }}
),

voided_invoices as (
    select distinct
        entity_id,
        invoice_id
    from {{ ref('can_invoice_ends') }}
    where event_type = 'invoice.voided' and accounting_date <= {{ as_of_date() }}
),

voided_notes as (
    select distinct
        entity_id,
        credit_note_id
    from {{ ref('can_credit_note_voids') }}
    where accounting_date <= {{ as_of_date() }}
),

invoice_lines as (
    select lines.*
    from {{ ref('can_invoice_lines') }} as lines
    left join voided_invoices
        on lines.entity_id = voided_invoices.entity_id and lines.invoice_id = voided_invoices.invoice_id
    where
        lines.subscription_item_id is not null
        and coalesce(lines.charge_kind, 'recurring') in ('recurring', 'proration')
        and lines.accounting_date <= {{ as_of_date() }}
        and voided_invoices.invoice_id is null
),

-- Notes correct the billing unless their reason says that the charge stands: goodwill, a claim of fraud, a loss taken.
credits as (
    select
        notes.entity_id,
        notes.credit_note_id,
        notes.accounting_date,
        lines.invoice_line_id,
        notes.invoice_id,
        lines.amount
    from {{ ref('can_credit_notes') }} as notes
    inner join {{ ref('can_credit_note_lines') }} as lines
        on notes.entity_id = lines.entity_id and notes.credit_note_id = lines.credit_note_id
    left join voided_notes
        on notes.entity_id = voided_notes.entity_id and notes.credit_note_id = voided_notes.credit_note_id
    where
        coalesce(notes.reason, 'order_change') not in (
            'product_unsatisfactory', 'service_unsatisfactory', 'goodwill', 'waiver',
            'fraudulent', 'fraudulent_charge', 'chargeback', 'write_off'
        )
        and notes.accounting_date <= {{ as_of_date() }}
        and voided_notes.credit_note_id is null
),

billing_periods as (
    select distinct
        entity_id,
        item_id,
        billing_period_start,
        billing_period_end
    from expected
),

-- A proration line starts in the middle: it belongs to the billing period that contains its first day.
placed_lines as (
    select
        lines.*,
        coalesce(periods.billing_period_start, lines.service_start) as period_start
    from invoice_lines as lines
    left join billing_periods as periods
        on lines.entity_id = periods.entity_id
        and lines.subscription_item_id = periods.item_id
        and lines.service_start >= periods.billing_period_start
        and lines.service_start < periods.billing_period_end
    qualify row_number() over (
        partition by lines.entity_id, lines.invoice_id, lines.line_id order by periods.billing_period_start desc nulls last
    ) = 1
),

credited as (
    select
        entity_id,
        invoice_id,
        invoice_line_id,
        sum(amount) as amount
    from credits group by entity_id, invoice_id, invoice_line_id
),

-- The same item and window charged again: counted per line, oldest first, lines credited in full left out.
repeats as (
    select
        lines.entity_id,
        lines.invoice_id,
        lines.line_id,
        row_number() over (
            partition by lines.entity_id, lines.subscription_item_id, lines.service_start, lines.service_end, lines.amount
            order by lines.accounting_date, lines.invoice_id, lines.line_id
        ) as nth
    from placed_lines as lines
    left join credited
        on lines.entity_id = credited.entity_id
        and lines.invoice_id = credited.invoice_id
        and lines.line_id = credited.invoice_line_id
    where lines.amount > 0 and lines.amount > coalesce(credited.amount, 0)
),

billed as (
    select
        lines.entity_id,
        lines.subscription_item_id as item_id,
        lines.period_start,
        lines.accounting_date as item_date,
        lines.currency,
        lines.amount,
        lines.invoice_id as reference,
        lines.customer_id,
        lines.correlation_id,
        coalesce(repeats.nth, 1) as nth
    from placed_lines as lines
    left join repeats
        on lines.entity_id = repeats.entity_id
        and lines.invoice_id = repeats.invoice_id
        and lines.line_id = repeats.line_id
    union all
    select
        lines.entity_id,
        lines.subscription_item_id as item_id,
        lines.period_start,
        credits.accounting_date as item_date,
        lines.currency,
        -credits.amount as amount,
        credits.invoice_id as reference,
        lines.customer_id,
        lines.correlation_id,
        coalesce(repeats.nth, 1) as nth
    from credits
    inner join placed_lines as lines
        on credits.entity_id = lines.entity_id
        and credits.invoice_id = lines.invoice_id
        and credits.invoice_line_id = lines.line_id
    left join repeats
        on lines.entity_id = repeats.entity_id
        and lines.invoice_id = repeats.invoice_id
        and lines.line_id = repeats.line_id
),

left_months as (
    select
        entity_id,
        item_id,
        billing_period_start as period_start,
        {{ recon_month('bill_date') }} as month,
        currency,
        min(bill_date) as item_date,
        sum(amount) as amount,
        min(correlation_id) as correlation_id
    from expected
    group by entity_id, item_id, billing_period_start, {{ recon_month('bill_date') }}, currency
),

right_months as (
    select
        entity_id,
        item_id,
        period_start,
        {{ recon_month('item_date') }} as month,
        currency,
        min(item_date) as item_date,
        sum(amount) as amount,
        max(reference) as reference,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id
    from billed
    group by entity_id, item_id, period_start, {{ recon_month('item_date') }}, currency
),

left_totals as (
    select
        entity_id,
        item_id,
        period_start,
        currency,
        sum(amount) as amount
    from left_months group by entity_id, item_id, period_start, currency
),

right_totals as (
    select
        entity_id,
        item_id,
        period_start,
        currency,
        sum(amount) as amount
    from right_months group by entity_id, item_id, period_start, currency
),

-- A billing period whose total agrees is matched in the months in which it was expected; only the others are taken apart.
balanced as (
    select
        l.entity_id,
        l.item_id,
        l.period_start,
        l.currency,
        l.amount - r.amount as difference
    from left_totals as l
    inner join right_totals as r
        on l.entity_id = r.entity_id
        and l.item_id = r.item_id
        and l.period_start = r.period_start
        and l.currency = r.currency
    left join {{ ref('rec_policy') }} as p on p.recon_id = 'R2' and l.entity_id = p.entity_id
    where {{ recon_within('l.amount - r.amount', 'l.amount', 'p') }}
),

unbalanced as (
    select
        d.*,
        d.item_id || '|' || cast(d.period_start as varchar) || '|' || {{ recon_month('d.item_date') }}
        || case when d.nth > 1 then '|again' || cast(d.nth as varchar) || '|' || d.reference else '' end as item_key
    from billed as d
    left join balanced as b
        on d.entity_id = b.entity_id
        and d.item_id = b.item_id
        and d.period_start = b.period_start
        and d.currency = b.currency
    where b.item_id is null
),

left_side as (
    select
        m.entity_id,
        m.item_date,
        m.currency,
        m.item_id || '|' || cast(m.period_start as varchar) || '|' || m.month as item_key,
        m.amount,
        m.item_id as reference,
        cast(null as varchar) as customer_id,
        m.correlation_id
    from left_months as m
),

right_side as (
    -- Balanced: the month of the expectation, the difference within tolerance on its last month.
    select
        m.entity_id,
        m.item_date,
        m.currency,
        m.item_id || '|' || cast(m.period_start as varchar) || '|' || m.month as item_key,
        m.amount - case
            when row_number() over (partition by m.entity_id, m.item_id, m.period_start, m.currency order by m.month desc) = 1
                then b.difference
            else 0
        end as amount,
        m.item_id as reference,
        cast(null as varchar) as customer_id,
        m.correlation_id
    from left_months as m
    inner join balanced as b
        on m.entity_id = b.entity_id
        and m.item_id = b.item_id
        and m.period_start = b.period_start
        and m.currency = b.currency
    union all
    -- Not balanced: the month of the invoice; what was charged again stands in rows of its own.
    select
        entity_id,
        min(item_date) as item_date,
        currency,
        item_key,
        sum(amount) as amount,
        max(reference) as reference,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id
    from unbalanced
    group by entity_id, currency, item_key
),

pairs as (
    {{ recon_pairs('R2', 'left_side', 'right_side') }}
),

classes as (
    select
        *,
        {{ recon_class([("not has_left and item_key like '%|again%'", 'duplicate')]) }} as variance_class
    from pairs
    where left_amount <> 0 or right_amount <> 0
),

classified as (
    select
        *,
        case
            when variance_class = 'missing_right' then left_reference
            else coalesce(right_reference, left_reference)
        end as reference,
        case variance_class
            when 'duplicate' then 'Invoice ' || right_reference || ' charges an item and service window a second time.'
            when 'missing_right' then 'Expected charge was never invoiced.'
            when 'missing_left' then 'Invoiced without an expected charge.'
            when 'rounding' then 'Within tolerance.'
            when 'wrong_currency' then 'Invoiced in another currency than subscribed.'
            else 'Invoiced amount differs from the expected charge.'
        end as explanation,
        cast(null as varchar) as expected_clear_period
    from classes
)

{{ recon_items('R2', 'classified') }}
