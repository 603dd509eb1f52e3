-- One row per summarised posting line that one cut over the whole journal would make (policy summary_key, net_lines,
-- detail_threshold, min_line), by account role: debits and credits apart, with the count of journal lines in it.
-- A plan, for dry runs and worked examples: batches are cut from booked lines.
with settings as (
    select
        entities.entity_id,
        max(case when policy.key = 'summary_key' then policy.value end) as summary_key,
        max(case when policy.key = 'net_lines' then policy.value end) = 'true' as is_net,
        cast(nullif(max(case when policy.key = 'detail_threshold' then policy.value end), 'none') as bigint) as detail_threshold,
        coalesce(cast(max(case when policy.key = 'min_line' then policy.value end) as bigint), 0) as min_line
    from {{ state('entities') }} as entities
    left join {{ state('policy') }} as policy
        on entities.entity_id = policy.entity_id and policy.product_family is null and policy.currency is null
        and policy.value <> 'null'
    group by entities.entity_id
),

keyed as (
    select
        entity_id, coalesce(is_net, false) as is_net, detail_threshold, min_line,
        coalesce(summary_key, '["posting_period","account_role","currency","product_family","event_class","prior_period"]') as summary_key
    from settings
),

-- What an entry comes to matters only where a policy lists large entries apart.
entries as (
    select entity_id, entry_key, cast(sum(greatest(amount_fc, 0)) as bigint) as entry_fc
    from {{ ref('journal_lines') }}
    where entity_id in (select keyed.entity_id from keyed where keyed.detail_threshold is not null)
    group by entity_id, entry_key
),

lines as (
    select
        lines.entity_id, lines.period, lines.account_role, lines.currency, lines.functional_currency,
        case when keyed.summary_key like '%"event_class"%' then lines.event_type end as event_class,
        case when keyed.summary_key like '%"product_family"%' then lines.product_family end as product_family,
        case when keyed.summary_key like '%"prior_period"%' then lines.prior_period end as prior_period,
        case when keyed.summary_key like '%"accounting_date"%' then lines.accounting_date end as line_date,
        case when keyed.summary_key like '%"tax_code"%' then lines.tax_code end as line_tax_code,
        case when keyed.summary_key like '%"jurisdiction"%' then lines.jurisdiction end as line_jurisdiction,
        case when keyed.summary_key like '%"customer_id"%' then lines.customer_id end as line_customer,
        case when entries.entry_fc >= keyed.detail_threshold then lines.entry_key end as own_entry,
        case when not keyed.is_net then lines.amount_fc > 0 or (lines.amount_fc = 0 and lines.amount_tc > 0) end as is_debit,
        lines.amount_tc, lines.amount_fc, keyed.min_line
    from {{ ref('journal_lines') }} as lines
    inner join keyed on lines.entity_id = keyed.entity_id
    left join entries on lines.entity_id = entries.entity_id and lines.entry_key = entries.entry_key
),

summed as (
    select
        * exclude (amount_tc, amount_fc),
        cast(sum(amount_tc) as bigint) as amount_tc,
        cast(sum(amount_fc) as bigint) as amount_fc,
        count(*) as member_count
    from lines
    group by all
),

-- A line below min_line goes into its family default; nothing is dropped.
merged as (
    select
        * exclude (product_family, min_line, amount_tc, amount_fc, member_count),
        case when abs(amount_fc) < min_line and product_family is not null then 'default' else product_family end as product_family,
        cast(sum(amount_tc) as bigint) as amount_tc,
        cast(sum(amount_fc) as bigint) as amount_fc,
        cast(sum(member_count) as bigint) as member_count
    from summed
    group by all
)

select
    entity_id,
    period,
    account_role,
    currency,
    functional_currency,
    event_class,
    product_family,
    prior_period,
    own_entry,
    greatest(amount_tc, 0) as debit,
    greatest(-amount_tc, 0) as credit,
    greatest(amount_fc, 0) as debit_fc,
    greatest(-amount_fc, 0) as credit_fc,
    member_count
from merged
