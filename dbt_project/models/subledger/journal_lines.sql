-- One row per journal line that should exist at the cut-off: debit positive, transaction and functional minor units.
-- A pure function of events, policy and rates; what is booked of it is decided by booking, never here.
with legs as (
    {%- for model in ['priced_legs', 'legs_intercompany', 'legs_revaluation'] %}
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
)

select
    md5(numbered.entry_id || '|' || cast(numbered.line_no as varchar)) as line_key,
    md5(numbered.entry_id) as entry_key,
    hashed.entry_hash,
    cast(numbered.line_no as integer) as line_no,
    'main' as book,
    numbered.entity_id,
    numbered.posting_date as accounting_date,
    {{ period_of('numbered.posting_date') }} as period,
    numbered.service_period,
    numbered.is_prior_period as prior_period,
    numbered.event_key,
    numbered.event_type,
    numbered.document_type,
    numbered.document_id,
    numbered.line_id as document_line_id,
    numbered.account_role,
    numbered.currency,
    numbered.amount_tc,
    numbered.functional_currency,
    numbered.amount_fc,
    numbered.product_family,
    numbered.customer_id,
    numbered.jurisdiction,
    numbered.tax_code,
    numbered.correlation_id,
    numbered.pool as open_item,
    (select max(policy_hash) from {{ ref('line_policies') }}) as policy_hash
from numbered
inner join hashed on numbered.entry_id = hashed.entry_id
