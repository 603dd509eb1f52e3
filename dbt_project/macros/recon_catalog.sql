{#- The reconciliations as ACCOUNTING knows them: what a company's config need not say. Config overrides row by row. -#}
{% macro recon_catalog() -%}
{%- set rows = [
    ['R1', 'CRM closed-won to subscriptions', 'sales', 'RevOps', 'CRM closed-won lines', 'Subscription versions', 0],
    ['R2', 'Expected charges to invoice lines', 'billing', 'Billing ops', 'Expected charges', 'Invoice lines', 0],
    ['R3', 'Rated usage to usage invoice lines', 'billing', 'Billing ops', 'Rated usage', 'Usage invoice lines', 0],
    ['R4', 'Invoices and credit notes to ERP receivables', 'billing', 'AR', 'Invoices and credit notes', 'ERP documents that carry them', 0],
    ['R5', 'Payments and refunds to processor transactions', 'cash', 'Payments', 'Payments and refunds', 'Processor transactions', 0],
    ['R6', 'Payments to invoices', 'cash', 'AR', 'Payments and refunds', 'Applications and credit notes', 0],
    ['R7', 'Payouts to their members', 'cash', 'Treasury', 'Payouts', 'Sum of members', 0],
    ['R8', 'Payouts to bank lines', 'cash', 'Treasury', 'Payouts', 'Bank lines', 5],
    ['R9', 'Processor clearing to processor balance', 'cash', 'Treasury', 'Processor clearing', 'Processor balance report', 0],
    ['R10', 'AR subledger to GL control account', 'ledger', 'Controller', 'AR subledger', 'AR control account', 0],
    ['R11', 'Deferred revenue subledger to GL', 'ledger', 'Revenue accounting', 'Deferred revenue subledger', 'Deferred revenue account', 0],
    ['R12', 'Recognised revenue to GL', 'ledger', 'Revenue accounting', 'Recognised revenue', 'Revenue accounts', 0],
    ['R13', 'Invoice tax to tax engine', 'tax', 'Tax', 'Tax lines', 'Tax engine documents', 0],
    ['R14', 'Intercompany payables to receivables', 'ledger', 'Controller', 'Intercompany payable', 'Intercompany receivable', 0],
    ['R15', 'Journal lines to posting members', 'posting', 'Data platform', 'Booked journal lines', 'Posting members', 0],
    ['R16', 'Posting batches to ERP documents', 'posting', 'Integration', 'Posting batches', 'ERP documents', 0],
    ['R17', 'Source records to landed rows', 'landing', 'Data platform', 'Landing batches', 'Landed rows', 0],
] -%}
{%- for id, name, area, owner, source_label, target_label, days in rows %}
{{ 'union all' if not loop.first }}
select
    '{{ id }}' as recon_id, '{{ name }}' as name, '{{ area }}' as area, '{{ owner }}' as owner_team,
    '{{ source_label }}' as source_label, '{{ target_label }}' as target_label, {{ days }} as tolerance_days
{%- endfor %}
{%- endmacro %}

{#- Numbers of the reconciliation models, in their order. The var `reconciliations: before_posting` leaves out those that
    compare with an ERP or with the register of landing batches, for a build that has neither. -#}
{% macro recon_models() -%}
{%- set before = ['01', '02', '03', '05', '06', '07', '08', '09', '13', '14'] -%}
{%- set rest = ['17', '04', '10', '11', '12', '15', '16'] -%}
{{ return(before if var('reconciliations', 'all') == 'before_posting' else before + rest) }}
{%- endmacro %}

{#- Ids of the reconciliations that this build has, as a list for `in`. -#}
{% macro recon_ids() -%}
{%- set ids = [] -%}
{%- for recon in recon_models() -%}{%- do ids.append("'R" ~ (recon | int) ~ "'") -%}{%- endfor -%}
{{ return('(' ~ ids | join(', ') ~ ')') }}
{%- endmacro %}

{#- All rows of all reconciliations of this build. -#}
{% macro recon_union() -%}
{%- for recon in recon_models() %}
select * from {{ ref('rec_r' ~ recon) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}
