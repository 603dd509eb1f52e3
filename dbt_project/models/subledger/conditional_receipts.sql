-- One row per line of an invoice on a contract that the customer can cancel, and event that changes what of it is on the
-- books: under receivable_timing at_due_or_paid only what was paid is. The opening takes back what the payments of that day
-- left open, every later payment brings its part, and an event that is no payment brings the rest before it acts.
with invoices as (
    select
        entity_id, document_id, event_key, event_type, posting_date, accounting_date, time, sequence, event_id, is_prior_period,
        gross_amount, gross_amount - receivable as paid_otherwise
    from {{ ref('documents') }}
    where document_type = 'invoice' and is_conditional and receivable > 0
),

-- An invoice that bills anything else, too, is opened whole.
lines as (
    select
        lines.entity_id, lines.document_id, lines.line_id, lines.line_no, lines.tax_amount,
        lines.net_amount + lines.tax_amount as gross,
        cast(sum(lines.net_amount + lines.tax_amount) over so_far as bigint) as gross_to_here,
        bool_and(lines.treatment = 'contract') over whole as is_all_contract
    from {{ ref('document_lines') }} as lines
    inner join invoices on lines.entity_id = invoices.entity_id and lines.document_id = invoices.document_id
    where lines.document_type = 'invoice'
    window
        whole as (partition by lines.entity_id, lines.document_id),
        so_far as (
            partition by lines.entity_id, lines.document_id order by lines.line_no rows between unbounded preceding and current row
        )
),

changes as (
    select
        invoice_entity_id as entity_id, invoice_id as document_id, event_key, event_type, posting_date, accounting_date, time, sequence,
        event_id, is_prior_period, amount, false as is_rest
    from {{ ref('cash_applications') }}
    where is_invoice_known
    union all
    select
        effects.entity_id, effects.document_id, effects.event_key, facts.type as event_type, effects.posting_date,
        facts.effective_date as accounting_date, facts.time, coalesce(facts.sequence, '') as sequence, facts.id as event_id,
        coalesce(verdicts.is_prior_period, false) as is_prior_period, 0 as amount, true as is_rest
    from {{ ref('line_effects') }} as effects
    inner join {{ ref('events') }} as facts on effects.event_key = facts.event_key
    left join {{ ref('event_verdicts') }} as verdicts on effects.event_key = verdicts.event_key
    where effects.document_type = 'invoice' and effects.kind <> 'apply' and effects.is_first
),

later as (
    select
        changes.*,
        invoices.gross_amount,
        coalesce(bool_or(changes.is_rest) over before_it, false) as is_whole_before,
        invoices.paid_otherwise + coalesce(sum(changes.amount) over before_it, 0) as paid_before
    from changes
    inner join invoices on changes.entity_id = invoices.entity_id and changes.document_id = invoices.document_id
    window before_it as (
        partition by changes.entity_id, changes.document_id order by {{ fact_order('changes.') }}, changes.amount
        rows between unbounded preceding and 1 preceding
    )
),

steps as (
    select
        invoices.entity_id, invoices.document_id, invoices.event_key, invoices.event_type, invoices.posting_date, invoices.accounting_date,
        invoices.time, invoices.sequence, invoices.event_id, invoices.is_prior_period, invoices.gross_amount,
        true as is_opening, invoices.gross_amount as paid_before,
        least(invoices.gross_amount, invoices.paid_otherwise + coalesce(at_once.amount, 0)) as paid_after
    from invoices
    left join (
        select opened.entity_id, opened.document_id, sum(changes.amount) as amount
        from invoices as opened
        inner join changes
            on opened.entity_id = changes.entity_id and opened.document_id = changes.document_id
            and opened.posting_date >= changes.posting_date
        group by 1, 2
    ) as at_once on invoices.entity_id = at_once.entity_id and invoices.document_id = at_once.document_id
    union all
    select
        later.entity_id, later.document_id, later.event_key, later.event_type, later.posting_date, later.accounting_date,
        later.time, later.sequence, later.event_id, later.is_prior_period, later.gross_amount,
        false as is_opening, least(later.gross_amount, later.paid_before) as paid_before,
        case when later.is_rest then later.gross_amount else least(later.gross_amount, later.paid_before + later.amount) end as paid_after
    from later
    inner join invoices on later.entity_id = invoices.entity_id and later.document_id = invoices.document_id
    where not later.is_whole_before and later.posting_date > invoices.posting_date
),

shared as (
    select
        steps.* exclude (gross_amount, paid_before, paid_after),  -- noqa: RF02
        lines.line_id, lines.line_no, lines.tax_amount, lines.gross,
        {{ share('steps.paid_before', 'lines.gross_to_here', 'steps.gross_amount') }}
        - {{ share('steps.paid_before', 'lines.gross_to_here - lines.gross', 'steps.gross_amount') }} as gross_before,
        {{ share('steps.paid_after', 'lines.gross_to_here', 'steps.gross_amount') }}
        - {{ share('steps.paid_after', 'lines.gross_to_here - lines.gross', 'steps.gross_amount') }} as gross_after
    from steps
    inner join lines on steps.entity_id = lines.entity_id and steps.document_id = lines.document_id and lines.is_all_contract
),

taxed as (
    select
        *,
        {{ share('gross_after', 'tax_amount', 'gross') }} - {{ share('gross_before', 'tax_amount', 'gross') }} as tax_change
    from shared
)

select
    * exclude (tax_amount, gross, gross_before, gross_after),
    cast(gross_after - gross_before - tax_change as bigint) as net_change,
    'invoice' as document_type
from taxed
where gross_after <> gross_before
