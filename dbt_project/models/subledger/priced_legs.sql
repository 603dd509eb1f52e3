-- One row per leg of an entry, valued in functional currency, with the currency_exchange and fx legs that close it.
--
-- A leg in functional currency is its own value. In a foreign currency an opening leg brings its value, a release takes
-- its share of what the open item carries (the last one takes the rest), and the difference is realised fx.
{{ config(materialized='ephemeral') }}
with recursive legs as (
    {%- for model in ['legs_documents', 'legs_recognition', 'legs_reductions', 'legs_payments', 'legs_refunds', 'legs_disputes',
        'legs_bank', 'legs_usage', 'legs_contracts', 'legs_other'] %}
    {{ 'union all' if not loop.first }}
    select * replace (entity_id || '|' || entry_id as entry_id) from {{ ref(model) }}
    {%- endfor %}
),

foreign_entries as (
    select distinct entry_id from legs where currency <> functional_currency
),

foreign_legs as (
    select
        legs.*,
        row_number() over (order by legs.entry_id, legs.document_type, legs.document_id, legs.line_id, legs.leg_no, legs.account_role) as leg_key
    from legs
    inner join foreign_entries on legs.entry_id = foreign_entries.entry_id
),

-- Movements of open items in foreign currency, in the order of facts; only items that are ever released matter.
movements as (
    select
        foreign_legs.leg_key,
        foreign_legs.entity_id || '|' || foreign_legs.currency || '|' || foreign_legs.pool as item,
        foreign_legs.amount_tc,
        foreign_legs.amount_fc,
        foreign_legs.is_release,
        row_number() over (
            partition by foreign_legs.entity_id, foreign_legs.currency, foreign_legs.pool
            order by foreign_legs.posting_date, facts.effective_date, facts.time, facts.sequence, facts.id, foreign_legs.leg_no
        ) as movement_no
    from foreign_legs
    inner join {{ ref('events') }} as facts on foreign_legs.event_key = facts.event_key
    where foreign_legs.pool is not null and foreign_legs.currency <> foreign_legs.functional_currency
),

released_items as (
    select item from movements group by item having bool_or(is_release)
),

item_movements as (
    select movements.* from movements inner join released_items on movements.item = released_items.item
),

carried as (
    select item, movement_no, leg_key, amount_tc as balance_tc, amount_fc as balance_fc, amount_fc as value_fc
    from item_movements
    where movement_no = 1
    union all
    select
        item, movement_no, leg_key,
        balance_tc + amount_tc as balance_tc,
        balance_fc + value_fc as balance_fc,
        value_fc
    from (
        select
            moved.item, moved.movement_no, moved.leg_key, moved.amount_tc, carried.balance_tc, carried.balance_fc,
            cast(case
                when not moved.is_release or carried.balance_tc = 0 or (carried.balance_tc > 0) = (moved.amount_tc > 0) then moved.amount_fc
                when abs(moved.amount_tc) <= abs(carried.balance_tc) then {{ share('carried.balance_fc', 'moved.amount_tc', 'carried.balance_tc') }}
                else -carried.balance_fc + {{ share('moved.amount_fc', 'moved.amount_tc + carried.balance_tc', 'moved.amount_tc') }}
            end as bigint) as value_fc
        from carried
        inner join item_movements as moved
            on carried.item = moved.item and carried.movement_no + 1 = moved.movement_no
    ) as next_movements
),

carried_legs as (
    select
        foreign_legs.* exclude (leg_key, amount_fc, is_release),  -- noqa: RF02
        case
            when foreign_legs.currency = foreign_legs.functional_currency then foreign_legs.amount_tc
            else coalesce(carried.value_fc, foreign_legs.amount_fc)
        end as amount_fc
    from foreign_legs
    left join carried on foreign_legs.leg_key = carried.leg_key
),

-- Revenue of a contract takes the value at which its deferred layer is released: that is no exchange difference.
valued as (
    select
        * exclude (is_balancing, amount_fc),
        amount_fc - case
            when is_balancing and row_number() over (partition by entry_id, is_balancing order by leg_no, line_id) = 1
                then cast(sum(amount_fc) over (partition by entry_id) as bigint)
            else 0
        end as amount_fc
    from carried_legs
),

heads as (
    select * from valued
    qualify row_number() over (partition by entry_id order by leg_no, document_id, line_id) = 1
),

sums as (
    select
        entry_id, currency, cast(sum(amount_tc) as bigint) as amount_tc, cast(sum(amount_fc) as bigint) as amount_fc,
        bool_or(account_role in ('processor_clearing', 'cash', 'external_asset')) as is_money
    from valued
    group by entry_id, currency
),

-- The money side takes over the value that the other side carries, so that currency_exchange is nil in functional currency.
exchanged as (
    select
        *,
        is_money and row_number() over (partition by entry_id order by is_money desc, currency asc) = 1 as is_settlement,
        count(*) over (partition by entry_id) as currency_count,
        sum(amount_fc) over (partition by entry_id) as entry_fc
    from sums
),

exchange_legs as (
    select
        heads.* replace (
            'currency_exchange' as account_role, exchanged.currency as currency, -exchanged.amount_tc as amount_tc,
            cast(case when exchanged.is_settlement then exchanged.entry_fc - exchanged.amount_fc else -exchanged.amount_fc end as bigint) as amount_fc,
            900000 as leg_no, cast(null as varchar) as pool, cast(null as varchar) as line_id, cast(null as varchar) as jurisdiction,
            cast(null as varchar) as tax_code, 'default' as product_family
        )
    from exchanged
    inner join heads on exchanged.entry_id = heads.entry_id
    where exchanged.currency_count > 1 and exchanged.amount_tc <> 0
),

fx_legs as (
    select
        heads.* replace (
            case when rest.entry_fc > 0 then 'fx_gain' else 'fx_loss' end as account_role,
            rest.currency as currency, cast(0 as bigint) as amount_tc, -rest.entry_fc as amount_fc,
            900001 as leg_no, cast(null as varchar) as pool, cast(null as varchar) as line_id, cast(null as varchar) as jurisdiction,
            cast(null as varchar) as tax_code, 'default' as product_family
        )
    from (
        select
            entry_id, cast(max(entry_fc) as bigint) as entry_fc,
            coalesce(min(currency) filter (where not is_settlement), min(currency)) as currency
        from exchanged
        group by entry_id
    ) as rest
    inner join heads on rest.entry_id = heads.entry_id
    where rest.entry_fc <> 0
)

select * from valued
union all
select * from exchange_legs
union all
select * from fx_legs
union all
select
    legs.* exclude (amount_fc, is_release, is_balancing),  -- noqa: RF02
    legs.amount_tc as amount_fc
from legs
left join foreign_entries on legs.entry_id = foreign_entries.entry_id
where foreign_entries.entry_id is null
