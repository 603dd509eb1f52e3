-- A returned row is a landing batch that is not as it was received (R17): nothing is booked on it.
-- `gates_close: false` for R17 in the company's reconciliations.yaml lets the run go on, for what cannot be restored.
{{ config(tags=['before_posting'], meta={'dagster': {'ref': {'name': 'rec_r17'}}}) }}

select
    batches.entity_id,
    batches.reference,
    batches.variance_class,
    batches.explanation
from {{ ref('rec_r17') }} as batches
inner join {{ ref('rec_policy') }} as policy
    on batches.recon_id = policy.recon_id and batches.entity_id = policy.entity_id
where batches.variance_class is not null and policy.gates_close
