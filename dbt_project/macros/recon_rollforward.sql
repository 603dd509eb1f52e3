{#- The roll-forwards of ACCOUNTING section 14: which account, in which natural sign, with which lines. -#}

{% macro recon_rollforward_codes() -%}
select 'DR' as code, 'deferred_revenue' as account_role, -1 as sign
union all
select 'UR', 'unbilled_receivable', 1
union all
select 'AR', 'accounts_receivable', 1
union all
select 'CC', 'processor_clearing', 1
union all
select 'TX', 'tax_liability', -1
{%- endmacro %}

{#- Movement lines by number: label per roll-forward, and the event types that make it up (prefix match). Line 75 takes
    every other event, line 80 what was booked into a later period than its own; so movements always foot. -#}
{% macro recon_rollforward_shape() -%}
{{ return({
    'DR': [
        [20, 'Billed', ['invoice.posted']],
        [25, 'Received in advance', ['payment.']],
        [30, 'Recognised', ['revenue.recognised']],
        [40, 'Credited', ['credit_note.']],
        [50, 'Refunded and disputed', ['refund.', 'dispute.']],
        [60, 'Voided and written off', ['invoice.voided', 'invoice.uncollectible']],
    ],
    'UR': [
        [20, 'Recognised ahead of billing', ['usage.', 'pending_charge.', 'revenue.recognised']],
        [30, 'Invoiced', ['invoice.posted']],
        [60, 'Voided and credited', ['invoice.voided', 'invoice.uncollectible', 'credit_note.']],
        [70, 'Revaluation', ['fx.']],
    ],
    'AR': [
        [20, 'Invoiced, without tax', ['invoice.posted']],
        [25, 'Tax invoiced', []],
        [30, 'Credit notes', ['credit_note.']],
        [40, 'Voids and write-offs', ['invoice.voided', 'invoice.uncollectible']],
        [50, 'Payments applied', ['payment.']],
        [60, 'Reopened by refunds and disputes', ['refund.', 'dispute.']],
        [70, 'Revaluation', ['fx.']],
    ],
    'CC': [
        [20, 'Charges', ['payment.']],
        [25, 'Processor fees', []],
        [30, 'Refunds', ['refund.']],
        [40, 'Disputes withdrawn', ['dispute.funds_withdrawn']],
        [45, 'Disputes reinstated and closed', ['dispute.']],
        [50, 'Payouts', ['payout.']],
        [70, 'Revaluation', ['fx.']],
    ],
    'TX': [
        [20, 'Tax invoiced', ['invoice.posted', 'payment.']],
        [30, 'Tax credited', ['credit_note.']],
        [50, 'Tax refunded and disputed', ['refund.', 'dispute.']],
        [60, 'Voided and written off', ['invoice.voided', 'invoice.uncollectible']],
        [65, 'Recalculated', ['tax.']],
        [70, 'Revaluation', ['fx.']],
    ],
}) }}
{%- endmacro %}

{#- (code, line_no, line_label, line_kind) of every line, constant from period to period. -#}
{% macro recon_rollforward_lines() -%}
{%- for code, movements in recon_rollforward_shape().items() %}
{{ 'union all' if not loop.first }}
select '{{ code }}' as code, 10 as line_no, 'Opening' as line_label, 'opening' as line_kind
{%- for line_no, label, _ in movements + [[75, 'Other movements', []], [80, 'Prior-period corrections', []]] %}
union all
select '{{ code }}', {{ line_no }}, '{{ label }}', 'movement'
{%- endfor %}
union all
select '{{ code }}', 90, 'Closing', 'closing'
union all
select '{{ code }}', 95, 'Per general ledger', 'per_gl'
union all
select '{{ code }}', 99, 'Difference', 'difference'
{%- endfor %}
{%- endmacro %}

{#- Line number of an event type in a roll-forward. -#}
{% macro recon_rollforward_line(code, event_type) -%}
case
    {%- for name, movements in recon_rollforward_shape().items() %}
    {%- for line_no, _, prefixes in movements %}
    {%- for prefix in prefixes %}
    when {{ code }} = '{{ name }}' and {{ event_type }} like '{{ prefix }}%' then {{ line_no }}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    else 75
end
{%- endmacro %}
