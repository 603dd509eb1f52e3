-- One row per subscription item and usage window: rated usage against usage invoice lines (R3).
{{ config(tags=['before_posting']) }}

with records as (
    select *
    from {{ ref('can_usage_rated') }}
    where accounting_date <= {{ as_of_date() }}
    qualify row_number() over (partition by entity_id, usage_id order by rate_version desc, time desc) = 1
),

-- What a window is worth: the aggregate of its records in their order.
windows as (
    select
        entity_id,
        subscription_item_id,
        window_start,
        window_end,
        currency,
        cast(case max(aggregation)
            when 'max' then max(amount)
            when 'last_during_period' then max_by(amount, row_no)
            when 'last_ever' then max_by(amount, row_no)
            else sum(amount)
        end as bigint) as amount,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id
    from (
        select
            *,
            row_number() over (
                partition by entity_id, subscription_item_id, window_start order by accounting_date, time, usage_id
            ) as row_no
        from records
    ) as numbered
    group by entity_id, subscription_item_id, window_start, window_end, currency
),

left_side as (
    select
        entity_id,
        -- The bill date; a window that ends after the cut-off counts in the month of the cut-off.
        least(window_end, {{ as_of_date() }}) as item_date,
        currency,
        subscription_item_id || '|' || cast(window_start as varchar) as item_key,
        amount,
        subscription_item_id as reference,
        customer_id,
        correlation_id
    from windows
    where amount > 0
),

voided_invoices as (
    select distinct
        entity_id,
        invoice_id
    from {{ ref('can_invoice_ends') }}
    where event_type = 'invoice.voided' and accounting_date <= {{ as_of_date() }}
),

invoiced as (
    select
        lines.entity_id,
        lines.invoice_id,
        min(lines.accounting_date) as item_date,
        lines.currency,
        lines.subscription_item_id || '|' || cast(lines.service_start as varchar) as item_key,
        sum(lines.amount) as amount,
        min(lines.customer_id) as customer_id,
        min(lines.correlation_id) as correlation_id
    from {{ ref('can_invoice_lines') }} as lines
    left join voided_invoices
        on lines.entity_id = voided_invoices.entity_id and lines.invoice_id = voided_invoices.invoice_id
    where
        lines.charge_kind = 'usage'
        and lines.subscription_item_id is not null
        and lines.accounting_date <= {{ as_of_date() }}
        and voided_invoices.invoice_id is null
    group by lines.entity_id, lines.invoice_id, lines.currency, lines.subscription_item_id, lines.service_start
    having sum(lines.amount) <> 0
),

-- Invoices of one window are parts of it as long as they do not exceed what was rated (a threshold, then the rest): one
-- row, in the month of the last; beyond that each stands alone, and what comes after the first is a duplicate.
parts as (
    select
        invoiced.*,
        coalesce(
            sum(invoiced.amount) over (partition by invoiced.entity_id, invoiced.currency, invoiced.item_key) <= left_side.amount, false
        ) as within_rated
    from invoiced
    left join left_side
        on invoiced.entity_id = left_side.entity_id
        and invoiced.currency = left_side.currency
        and invoiced.item_key = left_side.item_key
),

right_side as (
    select
        entity_id,
        max(item_date) as item_date,
        currency,
        item_key,
        sum(amount) as amount,
        max_by(invoice_id, (item_date, invoice_id)) as reference,
        min(customer_id) as customer_id,
        min(correlation_id) as correlation_id
    from parts
    group by entity_id, currency, item_key, within_rated, case when not within_rated then invoice_id end
),

pairs as (
    {{ recon_pairs('R3', 'left_side', 'right_side') }}
),

open_windows as (
    select
        entity_id,
        subscription_item_id || '|' || cast(window_start as varchar) as item_key,
        max(window_end) as window_end
    from windows
    group by entity_id, subscription_item_id || '|' || cast(window_start as varchar)
),

classes as (
    select
        pairs.*,
        open_windows.window_end,
        {{ recon_class([
            ('not has_right and window_end > ' ~ as_of_date(), 'timing_in_transit'),
            ('not has_left and left_rows > 0', 'duplicate'),
        ]) }} as variance_class
    from pairs
    left join open_windows
        on pairs.entity_id = open_windows.entity_id and pairs.item_key = open_windows.item_key
),

classified as (
    select
        *,
        case
            when variance_class in ('duplicate', 'missing_left') then right_reference
            else coalesce(left_reference, right_reference)
        end as reference,
        case variance_class
            when 'timing_in_transit' then 'Rated; to be invoiced on ' || cast(window_end as varchar) || ', after the cut-off.'
            when 'missing_right' then 'Rated, but never invoiced.'
            when 'duplicate' then 'Usage window invoiced a second time.'
            when 'missing_left' then 'Usage invoiced that was never rated.'
            when 'rounding' then 'Within tolerance.'
            when 'wrong_currency' then 'Invoiced in another currency than rated.'
            else 'Invoiced amount differs from the rated amount.'
        end as explanation,
        case when variance_class = 'timing_in_transit' then {{ recon_month('window_end') }} end as expected_clear_period
    from classes
)

-- A pair belongs to the month of its invoice.
{{ recon_items('R3', 'classified', apart=['wrong_currency'], anchor='right') }}
