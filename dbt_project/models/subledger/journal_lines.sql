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

-- The hash of an entry is over the sum of its lines' numbers: no line has to wait for another, and none may be missing.
hashed as (
    select
        * exclude (content),
        md5(cast(sum(content) over (partition by entry_id) as varchar)) as entry_hash,
        row_number() over (
            partition by entry_id
            order by document_type, document_id, line_id nulls first, leg_no, account_role, currency, tax_code nulls first, amount_tc
        ) as line_no
    from (
        select
            *,
            {{ content_number([
                'event_type', 'posting_date', 'service_period', 'document_type', 'document_id', "coalesce(line_id, '')", 'account_role',
                'currency', 'amount_tc', 'amount_fc', 'product_family', "coalesce(customer_id, '')", "coalesce(jurisdiction, '')",
                "coalesce(tax_code, '')", 'is_prior_period',
            ]) }} as content
        from legs
        where amount_tc <> 0 or amount_fc <> 0
    ) as numbered
),

two_sided as (
    select
        *,
        md5({{ content_text([
            'event_type', 'posting_date', 'service_period', 'document_type', 'document_id', 'line_id', 'balance_role', 'currency', 'amount',
            'discount_amount', 'product_family', "coalesce(customer_id, '')", 'is_prior_period',
        ]) }}) as entry_hash
    from {{ ref('two_sided_entries') }}
    where posting_date <= {{ as_of() }}
),

two_sided_legs as (
    select
        * exclude (side, amount),
        case side when 3 then revenue_line_no else side end as line_no,
        case side when 1 then balance_role when 2 then 'discounts' else 'revenue' end as account_role,
        case side when 1 then amount when 2 then discount_amount else -(amount + discount_amount) end as amount_tc,
        case side when 1 then pool end as open_item
    from (select *, {{ each_integer(1, 3) }} as side from two_sided) as sides
),

lines as (
    select
        md5(entry_id) as entry_key, entry_hash, line_no, entity_id, posting_date, service_period, is_prior_period, event_key, event_type,
        document_type, document_id, line_id, account_role, currency, amount_tc, functional_currency, amount_fc, product_family,
        customer_id, jurisdiction, tax_code, correlation_id, pool as open_item
    from hashed
    union all
    select
        entry_key, entry_hash, line_no, entity_id, posting_date, service_period, is_prior_period, event_key, event_type,
        document_type, document_id, line_id, account_role, currency, amount_tc, functional_currency, amount_tc as amount_fc, product_family,
        customer_id, cast(null as varchar) as jurisdiction, cast(null as varchar) as tax_code, correlation_id, open_item
    from two_sided_legs
    where amount_tc <> 0
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
    open_item,
    (select max(policies.policy_hash) from {{ ref('line_policies') }} as policies) as policy_hash
from lines
