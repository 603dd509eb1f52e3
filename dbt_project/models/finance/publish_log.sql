-- One row per publish of this schema before the present one.
select
    publish_id,
    {{ adapter.quote('at') }},
    coalesce(status, '') as status,
    coalesce(run_id, '') as run_id,
    coalesce(code_version, '') as code_version,
    coalesce(dbt_invocation_id, '') as dbt_invocation_id,
    coalesce(rules_version, '') as rules_version,
    coalesce(fx_rate_set, '') as fx_rate_set,
    coalesce(cast(as_of as varchar), '') as as_of,
    coalesce(source_cut_offs, '') as source_cut_offs,
    coalesce(table_rows, '') as table_rows,
    coalesce(table_hashes, '') as table_hashes,
    coalesce(content_hash, '') as content_hash
from {{ recon_optional_state('publish_log', {
    'publish_id': 'varchar', 'at': 'timestamp', 'status': 'varchar', 'run_id': 'varchar', 'code_version': 'varchar',
    'dbt_invocation_id': 'varchar', 'rules_version': 'varchar', 'fx_rate_set': 'varchar', 'as_of': 'date',
    'source_cut_offs': 'varchar', 'table_rows': 'varchar', 'table_hashes': 'varchar', 'content_hash': 'varchar'
}) }}
