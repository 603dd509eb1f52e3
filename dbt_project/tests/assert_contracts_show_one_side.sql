-- A returned row is a contract that at the end of some day shows deferred revenue and a contract asset at once.
with moved as (
    select
        entity_id, currency, substring(open_item, strpos(open_item, '|') + 1) as contract, accounting_date,
        sum(case when account_role = 'deferred_revenue' then amount_tc else 0 end) as deferred,
        sum(case when account_role = 'contract_asset' then amount_tc else 0 end) as asset
    from {{ ref('journal_lines') }}
    where open_item like 'deferred_revenue|contract %' or open_item like 'contract_asset|contract %'
    group by entity_id, currency, substring(open_item, strpos(open_item, '|') + 1), accounting_date
),

running as (
    select
        entity_id, currency, contract, accounting_date, sum(deferred) over so_far as deferred, sum(asset) over so_far as asset
    from moved
    window so_far as (
        partition by entity_id, currency, contract order by accounting_date
        rows between unbounded preceding and current row
    )
)

select * from running
where (deferred <> 0 and asset <> 0) or deferred > 0 or asset < 0
