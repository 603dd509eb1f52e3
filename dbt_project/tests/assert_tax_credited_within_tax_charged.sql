-- A returned row is a line from which more net or tax was taken than it had.
select entity_id, document_type, document_id, line_id, step, kind, net_left, tax_left
from {{ ref('line_effects') }}
where kind in ('credit', 'reduce', 'void', 'write_off')
    and (
        (net_left < 0 and net_left + eff_net > 0) or (net_left > 0 and net_left + eff_net < 0)
        or (tax_left < 0 and tax_left + eff_tax > 0) or (tax_left > 0 and tax_left + eff_tax < 0)
    )
