-- One row per entity and accounting period: its state, and who set it when and why.
select
    entity_id as entity,
    period,
    case status
        when 'soft_closed' then 'Soft close'
        when 'hard_closed' then 'Closed'
        -- Only a change back to open has a reason to give.
        else case when reason is not null then 'Reopened' else 'Open' end
    end as state,
    coalesce(cast(coalesce(changed_at, closed_at) as varchar), '') as changed_at,
    coalesce(changed_by, '') as changed_by,
    coalesce(reason, '') as reason,
    coalesce(approver, '') as approver
from {{ recon_optional_state('periods', {
    'entity_id': 'varchar', 'period': 'varchar', 'status': 'varchar', 'closed_at': 'timestamp', 'changed_at': 'timestamp',
    'changed_by': 'varchar', 'reason': 'varchar', 'approver': 'varchar'
}) }}
