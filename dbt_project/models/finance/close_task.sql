-- One row per step of a period's close, as the operational store knows it.
select
    coalesce(entity_id, '') as entity,
    coalesce(period, '') as period,
    cast(coalesce(step, 0) as integer) as step,
    coalesce(task, '') as task,
    coalesce(owner, '') as owner,
    coalesce(due_wd, '') as due_wd,
    {{ recon_instant('due_at') }} as due_at,
    coalesce(status, '') as status,
    {{ recon_instant('completed_at') }} as completed_at,
    coalesce(completed_by, '') as completed_by,
    coalesce(blocked_by, '') as blocked_by,
    coalesce(evidence_url, '') as evidence_url
from {{ recon_optional_state('close_tasks', {
    'entity_id': 'varchar', 'period': 'varchar', 'step': 'integer', 'task': 'varchar', 'owner': 'varchar', 'due_wd': 'varchar',
    'due_at': 'timestamp', 'status': 'varchar', 'completed_at': 'timestamp', 'completed_by': 'varchar', 'blocked_by': 'varchar',
    'evidence_url': 'varchar'
}) }}
