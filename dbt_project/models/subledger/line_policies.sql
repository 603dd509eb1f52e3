-- One row per entity, product family and currency that occurs: every policy key resolved, most specific row first.
with families as (
    select entity_id, product_family from {{ ref('can_invoice_lines') }}
    union
    select entity_id, direct_product_family as product_family from {{ ref('can_payments') }}
    union
    select entity_id, product_family from {{ ref('can_pending_charges') }}
    union
    select entity_id, product_family from {{ ref('can_contract_lines') }}
    union
    select entity_id, product_family from {{ ref('can_amendment_lines') }} where product_family is not null
    union
    select entity_id, product_family from {{ ref('can_subscription_item_versions') }}
    union
    select entity_id, 'default' as product_family from {{ state('entities') }}
),

currencies as (
    select entity_id, currency from {{ ref('can_invoices') }}
    union
    select entity_id, currency from {{ ref('can_payments') }}
    union
    select entity_id, currency from {{ ref('can_usage_rated') }}
    union
    select entity_id, currency from {{ ref('can_pending_charges') }}
    union
    select entity_id, currency from {{ ref('can_contracts') }}
    union
    select entity_id, currency from {{ ref('can_opening_balances') }}
    union
    select entity_id, functional_currency as currency from {{ state('entities') }}
),

combinations as (
    select families.entity_id, families.product_family, currencies.currency
    from families
    inner join currencies on families.entity_id = currencies.entity_id
),

settings as (
    select
        combinations.entity_id,
        combinations.product_family,
        combinations.currency,
        policy.key,
        policy.value
    from combinations
    inner join {{ state('policy') }} as policy
        on combinations.entity_id = policy.entity_id
        and coalesce(policy.product_family, combinations.product_family) = combinations.product_family
        and coalesce(policy.currency, combinations.currency) = combinations.currency
    qualify row_number() over (
        partition by combinations.entity_id, combinations.product_family, combinations.currency, policy.key
        order by
            case when policy.product_family is null then 0 else 2 end
            + case when policy.currency is null then 0 else 1 end desc
    ) = 1
),

resolved as (
    select
        entity_id,
        product_family,
        {%- for name, type, default in policy_keys() %}
        max(case when key = '{{ name }}' and value <> 'null' then value end) as {{ name }},
        {%- endfor %}
        currency
    from settings
    group by entity_id, product_family, currency
)

select
    combinations.entity_id,
    combinations.product_family,
    combinations.currency,
    entities.functional_currency
    {%- for name, type, default in policy_keys() %},
    coalesce(cast(resolved.{{ name }} as {{ type }}), {{ default }}) as {{ name }}
    {%- endfor %},
    (select max(policy.policy_hash) from {{ state('policy') }} as policy) as policy_hash
from combinations
inner join {{ state('entities') }} as entities on combinations.entity_id = entities.entity_id
left join resolved
    on combinations.entity_id = resolved.entity_id
    and combinations.product_family = resolved.product_family
    and combinations.currency = resolved.currency
