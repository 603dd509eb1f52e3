-- One row per exception, open and done; identity lasts over runs and periods.
with seen as (
    select * from {{ ref('rec_exceptions') }}
),

known as (
    select * from {{ recon_optional_state('exceptions', {
        'exception_id': 'varchar', 'recon_id': 'varchar', 'category': 'varchar', 'severity': 'varchar', 'entity_id': 'varchar',
        'period': 'varchar', 'currency': 'varchar', 'amount': 'bigint', 'blocks_close': 'boolean', 'owner_team': 'varchar',
        'assignee': 'varchar', 'status': 'varchar', 'source_reference': 'varchar', 'customer_id': 'varchar',
        'correlation_id': 'varchar', 'source_event_id': 'varchar', 'idempotency_key': 'varchar', 'erp_document': 'varchar',
        'error_code': 'varchar', 'error_message': 'varchar', 'next_action': 'varchar', 'attempts': 'integer',
        'last_attempt_at': 'timestamp', 'first_seen_at': 'timestamp', 'opened_at': 'timestamp', 'resolution': 'varchar',
        'resolution_note': 'varchar', 'resolved_by': 'varchar', 'resolved_at': 'timestamp', 'origin': 'varchar'
    }) }}
),

entities as (
    select * from {{ state('entities') }}
),

currencies as (
    select * from {{ state('currencies') }}
),

periods as (
    select * from {{ state('periods') }}
),

rates as (
    select * from {{ ref('rec_group_rates') }}
),

-- What the data shows decides the facts, the operational store the human side of it. A variance that the data no longer
-- shows is over, also if the store has not looked since; an exception of posting lives in the store alone.
merged as (
    select
        coalesce(s.exception_id, k.exception_id) as exception_id,
        coalesce(s.recon_id, k.recon_id) as recon_id,
        coalesce(s.category, k.category) as category,
        coalesce(s.severity, k.severity, 'warning') as severity,
        coalesce(s.entity_id, k.entity_id) as entity_id,
        coalesce(s.reference, k.source_reference) as reference,
        coalesce(s.period, k.period) as period,
        coalesce(s.currency, k.currency) as currency,
        coalesce(s.amount, k.amount, 0) as amount,
        coalesce(s.blocks_close, k.blocks_close, false) as blocks_close,
        coalesce(s.owner_team, k.owner_team, 'Data platform') as owner_team,
        k.assignee,
        case
            when s.exception_id is null and coalesce(k.origin, 'reconciliation') in ('reconciliation', 'events', 'subledger')
                then case when k.status = 'Accepted' then 'Accepted' else 'Resolved' end
            when s.exception_id is not null and k.status = 'Resolved' then 'Open'
            else coalesce(k.status, 'Open')
        end as status,
        k.opened_at,
        k.resolution,
        coalesce(s.customer_id, k.customer_id) as customer_id,
        coalesce(s.correlation_id, k.correlation_id) as correlation_id,
        coalesce(s.source_event_id, k.source_event_id) as source_event_id,
        coalesce(s.idempotency_key, k.idempotency_key) as idempotency_key,
        coalesce(s.erp_document, k.erp_document) as erp_document,
        k.error_code,
        coalesce(s.error_message, k.error_message) as error_message,
        coalesce(s.next_action, k.next_action) as next_action,
        coalesce(k.attempts, 0) as attempts,
        k.last_attempt_at,
        k.resolution_note,
        k.resolved_by,
        k.resolved_at
    from seen as s
    full outer join known as k on s.exception_id = k.exception_id
),

-- First seen by the store; before that, the end of the period in which it arose, but never after the cut-off.
opened as (
    select
        merged.*,
        coalesce(
            merged.opened_at,
            cast(least({{ add_days('periods.end_date_exclusive', '-1') }}, {{ as_of_date() }}) as timestamp),
            cast({{ as_of_date() }} as timestamp)
        ) as opened_instant,
        coalesce(entities.functional_currency, 'USD') as functional_currency,
        merged.status in ('Resolved', 'Accepted') as is_done
    from merged
    left join entities on merged.entity_id = entities.entity_id
    left join periods on merged.entity_id = periods.entity_id and merged.period = periods.period
),

aged as (
    select
        *,
        cast(greatest({{ days_between('cast(opened_instant as date)', as_of_date()) }}, 0) as integer) as age_days,
        {{ add_days('cast(opened_instant as date)', recon_sla_days('severity')) }} as due_date
    from opened
)

select
    a.exception_id,
    a.severity,
    a.category,
    coalesce(a.recon_id, '') as recon_code,
    coalesce(a.period, '') as period,
    coalesce(a.entity_id, '') as entity_code,
    coalesce(a.currency, a.functional_currency) as currency,
    cast(coalesce(currencies.exponent, 2) as integer) as minor_unit,
    {{ recon_to_major('a.amount', 'coalesce(currencies.exponent, 2)') }} as amount,
    {{ recon_to_major(recon_to_group('a.amount', 'rates', 'coalesce(currencies.exponent, 2)', 'group_currency.exponent'), 'group_currency.exponent') }}
        as group_amount,
    abs(a.amount) >= coalesce(policy.materiality_floor, 0) and a.amount <> 0 as is_material,
    a.blocks_close and not a.is_done as blocks_close,
    a.owner_team,
    coalesce(a.assignee, '') as assignee,
    a.status,
    a.opened_instant as opened_at,
    cast(a.due_date as timestamp) as due_at,
    not a.is_done and a.due_date < {{ as_of_date() }} as is_overdue,
    a.age_days,
    {{ recon_aging_bucket('a.age_days') }} as aging_bucket,
    {{ recon_aging_sort('a.age_days') }} as aging_bucket_sort,
    coalesce(a.reference, '') as reference,
    coalesce(a.customer_id, '') as customer,
    case when a.recon_id in ('R2', 'R3') and a.reference like '%:%' then split_part(a.reference, ':', 1) else '' end as subscription_ref,
    case
        when a.recon_id = 'R13' or (a.recon_id in ('R2', 'R3') and a.reference not like '%:%') then coalesce(a.reference, '')
        else ''
    end as invoice_ref,
    coalesce(policy.source_label, 'Event intake') as source_system,
    coalesce(a.source_event_id, '') as source_event_id,
    coalesce(a.correlation_id, '') as correlation_id,
    coalesce(a.idempotency_key, '') as idempotency_key,
    coalesce(a.erp_document, '') as erp_document,
    coalesce(a.error_code, a.category) as error_code,
    coalesce(a.error_message, '') as error_message,
    coalesce(a.next_action, '') as next_action,
    cast(a.attempts as integer) as attempts,
    {{ recon_instant('a.last_attempt_at') }} as last_attempt_at,
    coalesce(a.resolution, case when a.is_done then 'cleared' else '' end) as resolution,
    coalesce(a.resolution_note, '') as resolution_note,
    coalesce(a.resolved_by, '') as resolved_by,
    {{ recon_instant('a.resolved_at') }} as resolved_at,
    '' as run_url
from aged as a
left join currencies on coalesce(a.currency, a.functional_currency) = currencies.currency
left join rates on a.period = rates.period and coalesce(a.currency, a.functional_currency) = rates.currency
left join currencies as group_currency on group_currency.currency = '{{ var("group_currency", "USD") }}'
left join {{ ref('rec_policy') }} as policy on a.recon_id = policy.recon_id and a.entity_id = policy.entity_id
