-- One row per leg of the share of revenue that belongs to a performing entity: expense and payable with the contracting
-- entity, receivable and revenue with the performing one, same day, currency and amount. The share is cumulative per
-- document line, so that its rounding never drifts. On these legs customer_id is the counterparty entity.
{{ config(materialized='ephemeral') }}
with shares as (
    select
        entity_id, product_family, currency,
        {{ json_text('intercompany_share', '$.performing_entity') }} as performing_entity,
        {{ scaled12(json_text('intercompany_share', '$.share')) }} as share_e12
    from {{ ref('line_policies') }}
    where intercompany_share is not null and intercompany_share <> 'none'
),

revenue_legs as (
    select
        entry_id, event_key, entity_id, posting_date, service_period, is_prior_period, document_type, document_id, line_id,
        currency, functional_currency, product_family, correlation_id, amount_tc, amount_fc
    from {{ ref('priced_legs') }}
    where account_role in ('revenue', 'discounts', 'credit_notes', 'refunds', 'disputes', 'voids')
    union all
    select
        entry_key as entry_id, event_key, entity_id, posting_date, service_period, is_prior_period, document_type, document_id,
        line_id, currency, functional_currency, product_family, correlation_id, -amount as amount_tc, -amount as amount_fc
    from {{ ref('two_sided_entries') }}
    where entity_id in (select shares.entity_id from shares)
),

earned as (
    select
        legs.entry_id, legs.event_key, legs.entity_id, legs.posting_date, legs.service_period, legs.is_prior_period,
        legs.document_type, legs.document_id, legs.line_id, legs.currency, legs.functional_currency, legs.product_family,
        legs.correlation_id, shares.performing_entity, shares.share_e12,
        -cast(sum(legs.amount_tc) as bigint) as amount_tc,
        -cast(sum(legs.amount_fc) as bigint) as amount_fc
    from revenue_legs as legs
    inner join shares
        on legs.entity_id = shares.entity_id and legs.product_family = shares.product_family and legs.currency = shares.currency
    group by all
),

cumulated as (
    select
        *,
        cast(sum(amount_tc) over so_far as bigint) as tc_to_date,
        cast(sum(amount_fc) over so_far as bigint) as fc_to_date
    from earned
    window so_far as (
        partition by entity_id, document_type, document_id, line_id, currency order by posting_date, service_period, entry_id
        rows between unbounded preceding and current row
    )
),

shared as (
    select
        cumulated.*,
        {{ half_up('tc_to_date * share_e12', 1000000000000) }} - {{ half_up('(tc_to_date - amount_tc) * share_e12', 1000000000000) }} as share_tc,
        {{ half_up('fc_to_date * share_e12', 1000000000000) }} - {{ half_up('(fc_to_date - amount_fc) * share_e12', 1000000000000) }} as share_fc
    from cumulated
),

valued as (
    select
        shared.*,
        performers.functional_currency as performing_currency,
        case
            when shared.currency = performers.functional_currency then shared.share_tc
            when ranges.num is not null then {{ half_up('shared.share_tc * ranges.num', 'ranges.den') }}
            when performers.functional_currency = shared.functional_currency then shared.share_fc
        end as performing_fc
    from shared
    inner join {{ state('entities') }} as performers on shared.performing_entity = performers.entity_id
    left join {{ ref('spot_rate_ranges') }} as ranges
        on shared.performing_entity = ranges.entity_id and shared.currency = ranges.currency
        and shared.posting_date >= ranges.valid_from and shared.posting_date < ranges.valid_to
    where shared.share_tc <> 0
    qualify row_number() over (
        partition by shared.entry_id, shared.document_id, shared.line_id, shared.currency order by ranges.preference
    ) = 1
),

sides as (
    select
        *, 'contracting' as side, entity_id as booking_entity, performing_entity as counterparty, functional_currency as book_currency,
        share_fc as value_fc
    from valued
    union all
    select
        *, 'performing' as side, performing_entity as booking_entity, entity_id as counterparty, performing_currency as book_currency,
        performing_fc as value_fc
    from valued
),

legs as (
    select
        *, 1 as leg_no, 1 as direction,
        case side when 'contracting' then 'revenue_share_expense' else 'intercompany_receivable' end as account_role
    from sides
    union all
    select
        *, 2 as leg_no, -1 as direction,
        case side when 'contracting' then 'intercompany_payable' else 'intercompany_revenue' end as account_role
    from sides
)

select
    md5(entry_id || '|' || document_id || '|' || coalesce(line_id, '') || '|' || currency || '|' || side) as entry_id,
    event_key, 'revenue.shared' as event_type, booking_entity as entity_id, posting_date, service_period, is_prior_period,
    document_type, document_id, line_id, leg_no, account_role, currency, book_currency as functional_currency,
    direction * share_tc as amount_tc,
    case when account_role in ('intercompany_payable', 'intercompany_receivable') then 'intercompany|' || counterparty end as pool,
    product_family, counterparty as customer_id, cast(null as varchar) as jurisdiction, cast(null as varchar) as tax_code,
    correlation_id, direction * value_fc as amount_fc
from legs
