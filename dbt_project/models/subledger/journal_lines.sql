-- One row per journal line that should exist at the cut-off: debit positive, transaction and functional minor units.
-- A pure function of events, policy and rates; what is booked of it is decided by booking, never here.
with legs as (
    {%- for model in ['priced_legs', 'legs_intercompany', 'legs_revaluation', 'legs_allowance'] %}
    {{ 'union all' if not loop.first }}
    select
        entry_id, event_key, event_type, entity_id, posting_date, service_period, is_prior_period, document_type, document_id,
        line_id, leg_no, account_role, currency, functional_currency, amount_tc, amount_fc, pool, product_family, customer_id,
        jurisdiction, tax_code, correlation_id
    from {{ ref(model) }}
    where posting_date <= {{ as_of() }}
    {%- endfor %}
),

numbered as (
    select
        *,
        row_number() over (
            partition by entry_id
            order by document_type, document_id, line_id nulls first, leg_no, account_role, currency, tax_code nulls first, amount_tc
        ) as line_no
    from legs
    where amount_tc <> 0 or amount_fc <> 0
),

hashed as (
    select
        entry_id,
        md5(string_agg(
            event_type || '|' || cast(posting_date as varchar) || '|' || service_period || '|' || document_type || '|' || document_id || '|'
            || coalesce(line_id, '') || '|' || account_role || '|' || currency || '|' || cast(amount_tc as varchar) || '|'
            || cast(amount_fc as varchar) || '|' || product_family || '|' || coalesce(customer_id, '') || '|'
            || coalesce(jurisdiction, '') || '|' || coalesce(tax_code, '') || '|' || cast(is_prior_period as varchar),
            '#' order by line_no
        )) as entry_hash
    from numbered
    group by entry_id
),

-- Recognition in functional currency is most of all lines: two or three legs of one row, numbered and hashed in the row.
recognised as (
    select
        *,
        md5(
            'revenue.recognised' || '|' || cast(posting_date as varchar) || '|' || service_period || '|' || document_type || '|' || document_id || '|'
            || document_line_id || '|' || balance_role || '|' || currency || '|' || cast(amount as varchar) || '|'
            || cast(discount_amount as varchar) || '|' || product_family || '|' || coalesce(customer_id, '') || '|'
            || cast(is_prior_period as varchar)
        ) as entry_hash
    from {{ ref('recognition_entries') }}
    where currency = functional_currency and posting_date <= {{ as_of() }}
),

recognised_legs as (
    select
        *, 1 as line_no, balance_role as account_role, amount as amount_tc,
        case treatment when 'pending' then 'unbilled_receivable|' || document_id end as pool
    from recognised
    where amount <> 0
    union all
    select *, 2 as line_no, 'discounts' as account_role, discount_amount as amount_tc, cast(null as varchar) as pool
    from recognised
    where discount_amount <> 0
    union all
    select *, 3 as line_no, 'revenue' as account_role, -(amount + discount_amount) as amount_tc, cast(null as varchar) as pool
    from recognised
    where amount + discount_amount <> 0
),

lines as (
    select
        md5(numbered.entry_id) as entry_key, hashed.entry_hash, numbered.line_no, numbered.entity_id,
        numbered.posting_date, numbered.service_period, numbered.is_prior_period, numbered.event_key, numbered.event_type,
        numbered.document_type, numbered.document_id, numbered.line_id, numbered.account_role, numbered.currency, numbered.amount_tc,
        numbered.functional_currency, numbered.amount_fc, numbered.product_family, numbered.customer_id, numbered.jurisdiction,
        numbered.tax_code, numbered.correlation_id, numbered.pool
    from numbered
    inner join hashed on numbered.entry_id = hashed.entry_id
    union all
    select
        entry_key, entry_hash, line_no, entity_id, posting_date, service_period, is_prior_period, event_key,
        'revenue.recognised' as event_type, document_type, document_id, document_line_id as line_id, account_role, currency, amount_tc,
        functional_currency, amount_tc as amount_fc, product_family, customer_id, cast(null as varchar) as jurisdiction,
        cast(null as varchar) as tax_code, correlation_id, pool
    from recognised_legs
)

select
    entry_key || '-' || cast(line_no as varchar) as line_key,
    entry_key,
    entry_hash,
    cast(line_no as integer) as line_no,
    'main' as book,
    entity_id,
    posting_date as accounting_date,
    {{ period_of('posting_date') }} as period,
    service_period,
    is_prior_period as prior_period,
    event_key,
    event_type,
    document_type,
    document_id,
    line_id as document_line_id,
    account_role,
    currency,
    amount_tc,
    functional_currency,
    amount_fc,
    product_family,
    customer_id,
    jurisdiction,
    tax_code,
    correlation_id,
    pool as open_item,
    (select max(policies.policy_hash) from {{ ref('line_policies') }} as policies) as policy_hash
from lines
