-- One row per entity and reconciliation: tolerance, materiality and owner in force there.
{{ config(tags=['before_posting']) }}

with entities as (
    select * from {{ state('entities') }}
),

-- Every reconciliation has sensible words and an owner before anybody configures it.
catalog as (
    {{ recon_catalog() }}
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
    catalog.recon_id,
    coalesce(configured.name, catalog.name) as name,
    coalesce(configured.area, catalog.area) as area,
    coalesce(configured.owner_team, catalog.owner_team) as owner_team,
    coalesce(configured.source_label, catalog.source_label) as source_label,
    coalesce(configured.target_label, catalog.target_label) as target_label,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || catalog.recon_id || '.absolute'") }},
        cast(configured.tolerance_absolute as varchar),
        '0'
    ) as bigint) as tolerance_absolute,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || catalog.recon_id || '.share'") }},
        configured.tolerance_share,
        '0'
    ) as decimal(18, 12)) as tolerance_share,
    cast(coalesce(
        {{ recon_json_at('entity_policy.tolerance_json', "'$.' || catalog.recon_id || '.days'") }},
        cast(configured.tolerance_days as varchar),
        cast(catalog.tolerance_days as varchar)
    ) as integer) as tolerance_days,
    cast(coalesce(entity_policy.materiality_text, cast(configured.materiality_floor as varchar), '0') as bigint)
        as materiality_floor,
    coalesce(configured.gates_close, true) as gates_close,
    entity_policy.owner_json,
    coalesce(entity_policy.policy_hash, '') as policy_hash
from entities
cross join catalog
left join configured on catalog.recon_id = configured.recon_id
left join entity_policy on entities.entity_id = entity_policy.entity_id
