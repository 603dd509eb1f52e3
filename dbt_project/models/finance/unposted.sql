-- One row per entity, period, event class, reason and owner: booked lines that no ERP document carries.
with members as (
    select distinct booked_line_id from {{ posting_members() }}
),

waiting as (
    select unposted.*
    from {{ state('unposted_lines') }} as unposted
    left join members on unposted.booked_line_id = members.booked_line_id
    where members.booked_line_id is null and unposted.period <= {{ recon_month(as_of_date(), 'unposted.entity_id') }}
)

select
    waiting.period,
    waiting.entity_id as entity_code,
    waiting.event_class,
    waiting.waits as reason,
    waiting.currency,
    cast(currencies.exponent as integer) as minor_unit,
    waiting.owner_team,
    cast(count(*) as bigint) as source_lines,
    {{ recon_to_major('cast(sum(greatest(waiting.amount_fc, 0)) as bigint)', 'currencies.exponent') }} as amount,
    waiting.explanation
from waiting
inner join {{ state('currencies') }} as currencies on waiting.currency = currencies.currency
group by
    waiting.period, waiting.entity_id, waiting.event_class, waiting.waits, waiting.currency, currencies.exponent,
    waiting.owner_team, waiting.explanation
