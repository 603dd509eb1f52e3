-- One row per entity and reconciliation: tolerance, materiality and owner in force there.
{{ config(tags=['before_posting']) }}

with entities as (
    select * from {{ state('entities') }}
),

configured as (
    select * from {{ state('recon_policy') }}
),

-- Entity-wide policy rows only: a reconciliation has no product family, and its currency is a result.
entity_policy as (
    select
        entity_id,
        max(case when key = 'recon_tolerance' then value end) as tolerance_json,
        max(case when key = 'variance_materiality' then value end) as materiality_text,
        max(case when key = 'recon_owner' then value end) as owner_json,
        max(policy_hash) as policy_hash
    from {{ state('policy') }}
    where product_family is null and currency is null
    group by entity_id
)

select
    entities.entity_id,
    configured.recon_id,
    configured.name,
    configured.area,
    configured.owner_team,
    configured.source_label,
    configured.target_label,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || configured.recon_id || '.absolute'") }},
        cast(configured.tolerance_absolute as varchar),
        '0'
    ) as bigint) as tolerance_absolute,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || configured.recon_id || '.share'") }},
        configured.tolerance_share,
        '0'
    ) as decimal(18, 12)) as tolerance_share,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || configured.recon_id || '.days'") }},
        cast(configured.tolerance_days as varchar),
        '0'
    ) as integer) as tolerance_days,
    cast(coalesce(entity_policy.materiality_text, cast(configured.materiality_floor as varchar), '0') as bigint)
        as materiality_floor,
    configured.gates_close,
    entity_policy.owner_json,
    coalesce(entity_policy.policy_hash, '') as policy_hash
from entities
cross join configured
left join entity_policy on entities.entity_id = entity_policy.entity_id
