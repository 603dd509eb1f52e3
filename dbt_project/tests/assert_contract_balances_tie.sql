-- Contract liabilities, assets and remaining performance obligations at the cut-off that are not what the journal and the
-- roll-forward say, or that do not split exactly. Blocks.
{{ config(meta={'dagster': {'ref': {'name': 'contract_balances'}}}) }}
with presented as (
    select
        entity_id, currency, sum(liability) as liability, sum(asset) as asset, sum(rpo) as rpo
    from {{ ref('contract_balances') }}
    group by entity_id, currency
),

journal as (
    select
        entity_id, currency,
        -sum(case when account_role = 'deferred_revenue' then amount_tc else 0 end) as liability,
        sum(case when account_role = 'contract_asset' then amount_tc else 0 end) as asset
    from {{ ref('journal_lines') }}
    where account_role in ('deferred_revenue', 'contract_asset')
    group by entity_id, currency
),

rolled as (
    select entity_id, currency, closing as rpo
    from {{ ref('rollforwards') }}
    where name = 'rpo'
    qualify row_number() over (partition by entity_id, currency order by period desc) = 1
)

select
    coalesce(journal.entity_id, presented.entity_id) as entity_id, 'liability or asset differs from the journal' as finding
from journal
full join presented on journal.entity_id = presented.entity_id and journal.currency = presented.currency
where
    coalesce(journal.liability, 0) <> coalesce(presented.liability, 0)
    or coalesce(journal.asset, 0) <> coalesce(presented.asset, 0)
union all
select coalesce(rolled.entity_id, presented.entity_id) as entity_id, 'rpo differs from its roll-forward' as finding
from rolled
full join presented on rolled.entity_id = presented.entity_id and rolled.currency = presented.currency
where coalesce(rolled.rpo, 0) <> coalesce(presented.rpo, 0)
union all
select entity_id, 'split of ' || source_id || ' does not add up' as finding
from {{ ref('contract_balances') }}
where
    liability_current + liability_non_current <> liability
    or rpo_within_year + rpo_later + rpo_undated <> rpo
    or (liability > 0 and (liability_current < 0 or liability_non_current < 0))
