-- One row per published rate: 1 unit of from_currency = rate_e12 / 1e12 of to_currency, for its own entity only.
with published as (
    {{ events_of(['fx_rate.published'], {
        'from': 'VARCHAR', 'to': 'VARCHAR', 'rate': 'VARCHAR', 'rate_type': 'VARCHAR',
    }) }}
),

typed as (
    select
        {{ envelope() }},
        d."from" as from_currency,
        d."to" as to_currency,
        accounting_date as rate_date,
        d.rate_type,
        {{ scaled12('d.rate') }} as rate_e12
    from published
)

-- Rates are immutable; of several of one day the one published last in the source's order holds.
select * from typed
qualify row_number() over (
    partition by entity_id, from_currency, to_currency, rate_date, rate_type order by time desc, sequence desc, event_id desc
) = 1
