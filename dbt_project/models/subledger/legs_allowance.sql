-- One row per leg of the allowance for expected credit losses (policy loss_allowance): measured at every period's end on
-- the open receivables by days past due, and used by what is written off in between. Functional currency.
--
-- At a period's end the allowance is exactly what the rates ask for, so what it carries into the next period is known
-- without a chain: write-offs of a period use it up to that amount, the next measurement books the difference.
{{ config(materialized='ephemeral') }}
with governed as (
    select entity_id, currency, functional_currency, loss_allowance
    from {{ ref('line_policies') }}
    where product_family = 'default' and loss_allowance is not null and loss_allowance <> 'none'
),

buckets as (
    select
        entity_id, currency,
        {{ scaled12(json_text('item', '$.rate')) }} as rate_e12,
        cast({{ json_text('item', '$.days_past_due') }} as integer) as first_day
    from ({{ json_elements('governed', 'loss_allowance', ['entity_id', 'currency']) }}) as listed
),

bucket_ranges as (
    select *, lead(first_day, 1, 1000000) over (partition by entity_id, currency order by first_day) as next_day from buckets
),

receivable_legs as (
    select entity_id, currency, functional_currency, pool, posting_date, event_key, amount_fc
    from {{ ref('priced_legs') }}
    where account_role = 'accounts_receivable' and pool is not null and entity_id in (select governed.entity_id from governed)
    union all
    select entity_id, currency, functional_currency, pool, posting_date, event_key, amount_fc
    from {{ ref('legs_revaluation') }}
    where account_role = 'accounts_receivable' and entity_id in (select governed.entity_id from governed)
),

moved as (
    select
        entity_id, currency, functional_currency, pool, {{ period_index('posting_date') }} as period_no,
        cast(sum(amount_fc) as bigint) as amount_fc, max(event_key) as event_key
    from receivable_legs
    where posting_date <= {{ as_of() }}
    group by all
),

standing as (
    select
        *,
        cast(sum(amount_fc) over (partition by entity_id, currency, pool order by period_no) as bigint) as balance_fc,
        lead(period_no, 1, 1000000) over (partition by entity_id, currency, pool order by period_no) as next_no
    from moved
),

spans as (
    select entity_id, functional_currency, min(period_no) as first_no, min(event_key) as first_key from moved group by all
),

-- Periods that are over at the cut-off.
numbered as (
    select
        spans.entity_id, spans.functional_currency, spans.first_key, spans.first_no + numbers.n as period_no,
        {{ add_days(period_start('spans.first_no + numbers.n + 1', 'spans.entity_id'), -1) }} as last_day
    from spans
    cross join (select {{ each_integer(0, 1200) }} as n) as numbers
    where {{ add_days(period_start('spans.first_no + numbers.n + 1', 'spans.entity_id'), -1) }} <= {{ as_of() }}
),

due as (
    select
        documents.entity_id, 'accounts_receivable|' || documents.document_id as pool,
        coalesce(invoices.due_date, documents.accounting_date) as due_date
    from {{ ref('documents') }} as documents
    left join {{ ref('can_invoices') }} as invoices on documents.event_key = invoices.event_key
    where documents.document_type = 'invoice' and documents.entity_id in (select governed.entity_id from governed)
),

aged as (
    select
        numbered.entity_id, numbered.period_no, standing.currency, standing.event_key, standing.balance_fc,
        greatest({{ days_between('due.due_date', 'numbered.last_day') }}, 0) as days_past_due
    from standing
    inner join numbered
        on standing.entity_id = numbered.entity_id and standing.period_no <= numbered.period_no and standing.next_no > numbered.period_no
    inner join due on standing.entity_id = due.entity_id and standing.pool = due.pool
    where standing.balance_fc > 0
),

by_bucket as (
    select
        aged.entity_id, aged.period_no, aged.currency, ranges.first_day, ranges.rate_e12,
        cast(sum(aged.balance_fc) as bigint) as balance_fc, max(aged.event_key) as event_key
    from aged
    inner join bucket_ranges as ranges
        on aged.entity_id = ranges.entity_id and aged.currency = ranges.currency
        and aged.days_past_due >= ranges.first_day and aged.days_past_due < ranges.next_day
    group by all
),

required as (
    select
        entity_id, period_no, max(event_key) as event_key,
        cast(sum({{ half_up('balance_fc * rate_e12', '1000000000000') }}) as bigint) as amount
    from by_bucket
    group by entity_id, period_no
),

measured as (
    select
        numbered.entity_id, numbered.functional_currency, numbered.period_no, numbered.last_day,
        coalesce(required.event_key, numbered.first_key) as event_key,
        coalesce(required.amount, 0) as required,
        lag(coalesce(required.amount, 0), 1, 0) over (partition by numbered.entity_id order by numbered.period_no) as carried
    from numbered
    left join required on numbered.entity_id = required.entity_id and numbered.period_no = required.period_no
),

written_off as (
    select
        legs.entity_id, legs.functional_currency, legs.event_key, legs.posting_date, legs.document_id, legs.customer_id,
        legs.correlation_id, legs.is_prior_period, {{ period_index('legs.posting_date', 'legs.entity_id') }} as period_no,
        cast(sum(legs.amount_fc) as bigint) as amount
    from {{ ref('priced_legs') }} as legs
    where
        legs.account_role = 'bad_debt' and legs.event_type = 'invoice.uncollectible'
        and legs.entity_id in (select governed.entity_id from governed)
    group by all
    having sum(legs.amount_fc) > 0
),

cumulated as (
    select
        *,
        cast(sum(amount) over (
            partition by entity_id, period_no order by posting_date, event_key rows between unbounded preceding and current row
        ) as bigint) as so_far
    from written_off
),

used as (
    select
        cumulated.*,
        least(cumulated.so_far, coalesce(before.amount, 0)) - least(cumulated.so_far - cumulated.amount, coalesce(before.amount, 0)) as used
    from cumulated
    left join required as before on cumulated.entity_id = before.entity_id and cumulated.period_no = before.period_no + 1
),

uses as (
    select entity_id, period_no, cast(sum(used) as bigint) as used from used group by entity_id, period_no
),

entries as (
    select
        measured.entity_id, measured.functional_currency, measured.event_key, 'allowance.measured' as event_type,
        measured.last_day as posting_date, {{ period_name('measured.period_no') }} as document_id, cast(null as varchar) as customer_id,
        cast(null as varchar) as correlation_id, false as is_prior_period,
        measured.required - measured.carried + coalesce(uses.used, 0) as amount
    from measured
    left join uses on measured.entity_id = uses.entity_id and measured.period_no = uses.period_no
    union all
    select
        entity_id, functional_currency, event_key, 'allowance.used' as event_type, posting_date, document_id, customer_id,
        correlation_id, is_prior_period, -used as amount
    from used
)

{% for role, sign, leg_no in [('bad_debt', '', 1), ('allowance', '-', 2)] %}
{{ 'union all' if not loop.first }}
select
    md5(entity_id || '|' || event_type || '|' || document_id || '|' || cast(posting_date as varchar)) as entry_id,
    event_key, event_type, entity_id, posting_date, {{ period_of('posting_date') }} as service_period, is_prior_period,
    'allowance' as document_type, document_id, cast(null as varchar) as line_id, {{ leg_no }} as leg_no, '{{ role }}' as account_role,
    functional_currency as currency, functional_currency, {{ sign }}amount as amount_tc, cast(null as varchar) as pool,
    'default' as product_family, customer_id, cast(null as varchar) as jurisdiction, cast(null as varchar) as tax_code,
    correlation_id, {{ sign }}amount as amount_fc
from entries
where amount <> 0
{% endfor %}
