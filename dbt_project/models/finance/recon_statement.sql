-- One row per publish, reconciliation, period, entity and currency: source less target, explained and unexplained.
with statements as (
    select * from {{ ref('rec_statements') }}
),

policy as (
    select * from {{ ref('rec_policy') }}
),

entities as (
    select * from {{ state('entities') }}
),

periods as (
    select * from {{ recon_optional_state('periods', {
        'entity_id': 'varchar', 'period': 'varchar', 'status': 'varchar', 'reason': 'varchar'
    }) }}
),

currencies as (
    select * from {{ state('currencies') }}
),

rates as (
    select * from {{ ref('rec_group_rates') }}
),

-- What the statement lists, and what it tolerates without listing.
items as (
    select
        recon_id,
        entity_id,
        period,
        currency,
        sum(case when variance_class = 'rounding' then difference else 0 end) as tolerated,
        sum(case when variance_class <> 'rounding' then 1 else 0 end) as item_count,
        {{ recon_digest("item_key || '=' || cast(difference as varchar) || ' ' || variance_class", 'item_key, variance_class, difference') }} as items_hash
    from {{ ref('rec_items') }}
    where variance_class is not null
    group by recon_id, entity_id, period, currency
),

oldest as (
    select
        recon_code,
        entity_code,
        period,
        currency,
        max(age_days) as oldest_item_days
    from {{ ref('recon_item') }}
    group by recon_code, entity_code, period, currency
),

target_accounts as (
    select
        recon_id,
        entity_id,
        {{ recon_text_list('account_code') }} as target_account
    from (
        select
            case account_role
                when 'accounts_receivable' then 'R10'
                when 'deferred_revenue' then 'R11'
                when 'revenue' then 'R12'
                when 'processor_clearing' then 'R9'
            end as recon_id,
            entity_id,
            account_code
        from {{ state('accounts') }}
    )
    where recon_id is not null
    group by recon_id, entity_id
),

signoffs as (
    select *
    from {{ recon_optional_state('signoffs', {
        'recon_code': 'varchar', 'period': 'varchar', 'entity_code': 'varchar', 'currency': 'varchar', 'role': 'varchar',
        'person': 'varchar', 'at': 'timestamp', 'data_hash': 'varchar'
    }) }}
    qualify row_number() over (partition by recon_code, period, entity_code, currency, role order by {{ adapter.quote('at') }} desc) = 1
),

figures as (
    select
        statements.*,
        coalesce(items.tolerated, 0) as tolerated,
        coalesce(items.item_count, 0) as listed_count,
        lag(statements.unexplained, 1, 0) over (
            partition by statements.recon_id, statements.entity_id, statements.currency order by statements.period
        ) as prior_unexplained,
        md5(
            statements.recon_id || '|' || statements.entity_id || '|' || statements.period || '|' || statements.currency
            || '|' || cast(statements.left_amount as varchar) || '|' || cast(statements.right_amount as varchar)
            || '|' || cast(statements.unexplained as varchar) || '|' || coalesce(items.items_hash, '')
        ) as data_hash
    from statements
    left join items
        on statements.recon_id = items.recon_id
        and statements.entity_id = items.entity_id
        and statements.period = items.period
        and statements.currency = items.currency
),

judged as (
    select
        figures.*,
        policy.name,
        policy.area,
        policy.owner_team,
        policy.source_label,
        policy.target_label,
        coalesce(policy.materiality_floor, 0) as materiality_floor,
        currencies.exponent,
        figures.unexplained <> 0 and abs(figures.unexplained) >= coalesce(policy.materiality_floor, 0) as is_material,
        case
            when figures.unexplained <> 0 and abs(figures.unexplained) >= coalesce(policy.materiality_floor, 0) then 1
            when figures.unexplained <> 0 then 2
            when figures.listed_count > 0 then 3
            else 4
        end as status_sort
    from figures
    left join policy on figures.recon_id = policy.recon_id and figures.entity_id = policy.entity_id
    left join currencies on figures.currency = currencies.currency
)

select
    '{{ var("publish_id", "") }}' as publish_id,
    j.recon_id as recon_code,
    coalesce(j.name, j.recon_id) as recon_name,
    coalesce(j.area, '') as area,
    coalesce(j.owner_team, 'Data platform') as owner_team,
    j.period,
    case
        when periods.status = 'soft_closed' then 'Soft close'
        when periods.status = 'hard_closed' then 'Closed'
        when periods.reason is not null then 'Reopened'
        else 'Open'
    end as period_status,
    j.entity_id as entity_code,
    coalesce(entities.name, j.entity_id) as entity_name,
    j.currency,
    cast(j.exponent as integer) as minor_unit,
    coalesce(j.source_label, '') as source_label,
    coalesce(j.target_label, '') as target_label,
    coalesce(target_accounts.target_account, '') as target_account,
    {{ recon_to_major('j.left_amount', 'j.exponent') }} as source_amount,
    {{ recon_to_major('j.right_amount', 'j.exponent') }} as target_amount,
    {{ recon_to_major('j.difference', 'j.exponent') }} as variance_amount,
    case
        when j.right_amount = 0 then ''
        else cast(cast(
            {{ half_up('cast(j.difference as hugeint) * 10000 * cast(sign(j.right_amount) as integer)', 'abs(cast(j.right_amount as hugeint))') }}
            as decimal(18, 0)
        ) * cast('0.01' as decimal(3, 2)
        ) as varchar)
    end as variance_pct,
    {{ recon_to_major('j.explained - j.tolerated', 'j.exponent') }} as explained_amount,
    {{ recon_to_major('j.tolerated', 'j.exponent') }} as tolerated_amount,
    {{ recon_to_major('j.unexplained', 'j.exponent') }} as unexplained_amount,
    {{ recon_to_major(recon_to_group('j.unexplained', 'rates', 'j.exponent', 'group_currency.exponent'), 'group_currency.exponent') }}
        as unexplained_group_amount,
    '{{ var("group_currency", "USD") }}' as group_currency,
    coalesce(rates.rate_label, 'no rate') as group_rate,
    {{ recon_to_major('j.materiality_floor', 'j.exponent') }} as materiality_threshold,
    j.is_material,
    case j.status_sort
        when 1 then 'Unreconciled, material'
        when 2 then 'Unreconciled, below threshold'
        when 3 then 'Reconciled with items'
        else 'Reconciled'
    end as recon_status,
    cast(j.status_sort as integer) as status_sort,
    cast(j.listed_count as bigint) as item_count,
    j.matched_count,
    cast(coalesce(oldest.oldest_item_days, 0) as integer) as oldest_item_days,
    {{ recon_to_major('j.prior_unexplained', 'j.exponent') }} as prior_unexplained_amount,
    {{ recon_to_major('j.unexplained - j.prior_unexplained', 'j.exponent') }} as change_amount,
    coalesce(preparer.person, '') as preparer,
    {{ recon_instant('preparer.' ~ adapter.quote('at')) }} as prepared_at,
    coalesce(reviewer.person, '') as reviewer,
    {{ recon_instant('reviewer.' ~ adapter.quote('at')) }} as reviewed_at,
    case
        when preparer.person is null and reviewer.person is null then 'Not signed'
        when coalesce(reviewer.data_hash, preparer.data_hash) <> j.data_hash then 'Signed on older data'
        when reviewer.person is null then 'Prepared'
        else 'Signed'
    end as signoff_status,
    j.data_hash,
    '{{ var("run_id", "") }}' as run_id
from judged as j
left join entities on j.entity_id = entities.entity_id
left join periods on j.entity_id = periods.entity_id and j.period = periods.period
left join rates on j.period = rates.period and j.currency = rates.currency
left join currencies as group_currency on group_currency.currency = '{{ var("group_currency", "USD") }}'
left join target_accounts on j.recon_id = target_accounts.recon_id and j.entity_id = target_accounts.entity_id
left join oldest
    on j.recon_id = oldest.recon_code and j.entity_id = oldest.entity_code and j.period = oldest.period and j.currency = oldest.currency
left join signoffs as preparer
    on preparer.role = 'preparer'
    and j.recon_id = preparer.recon_code
    and j.entity_id = preparer.entity_code
    and j.period = preparer.period
    and j.currency = preparer.currency
left join signoffs as reviewer
    on reviewer.role = 'reviewer'
    and j.recon_id = reviewer.recon_code
    and j.entity_id = reviewer.entity_code
    and j.period = reviewer.period
    and j.currency = reviewer.currency
