{#- Words and small expressions of what finance reads. -#}

{#- Lasting identity of an exception: no period, so that it keeps its age and its notes. The store computes the same. -#}
{% macro recon_exception_id(recon, variance_class, entity, reference) -%}
md5(coalesce({{ recon }}, '') || '|' || {{ variance_class }} || '|' || coalesce({{ entity }}, '') || '|' || coalesce({{ reference }}, ''))
{%- endmacro %}

{#- Reconciliations of balances: an item stays in every period while it is open. The others state a period's activity. -#}
{% macro recon_is_balance(recon) -%}{{ recon }} in ('R9', 'R10', 'R11'){%- endmacro %}

{#- What the owner does next, in plain words. -#}
{% macro recon_next_action(variance_class) -%}
case {{ variance_class }}
    when 'timing_in_transit' then 'Nothing yet: it clears by itself in the period shown; look again if it does not.'
    when 'missing_right' then 'Find out why the target never received it; create what is missing there, then refresh.'
    when 'missing_left' then 'Find the source document of what the target holds, or have the target entry reversed.'
    when 'duplicate' then 'Cancel the second one at its source (credit note, refund or reversal), then refresh.'
    when 'amount' then 'Compare both documents line by line; correct the wrong one at its source.'
    when 'fee' then 'Ask the processor for the missing fee statement and book the charge.'
    when 'tax' then 'Correct the tax on the document (credit and re-invoice) or the engine''s transaction.'
    when 'unapplied' then 'Apply the receipt to its invoice, or return it.'
    when 'wrong_period' then 'Agree the period with the other side; correct the date or file an amended return.'
    when 'wrong_entity' then 'Move the contract to the entity that sold it: cancel there, subscribe here.'
    when 'wrong_currency' then 'Agree the contract currency; correct the side that has it wrong.'
    when 'mapping_missing' then 'Map the account role to an ERP account in the company config.'
    when 'manual_erp_journal' then 'Ask the preparer of the ERP journal for its support; reverse it or book it at the source.'
    when 'source_changed_after_post' then 'Let the next booking post the difference, then look again.'
    when 'conflict' then 'Two versions of one event exist: decide with the source which one holds.'
    when 'schema_invalid' then 'Have the source correct the record, then replay it.'
    when 'unknown_reference' then 'The object referred to is not known yet: check the source''s feed.'
    else 'Investigate: no rule explains this difference.'
end
{%- endmacro %}

{#- Severity words, in order: error gates the close, warning is somebody's work, info clears by itself. -#}
{% macro recon_severity(variance_class, gates) -%}
case when {{ gates }} then 'error' when {{ variance_class }} = 'timing_in_transit' then 'info' else 'warning' end
{%- endmacro %}

{#- Days an owner has, from the day an exception opened. -#}
{% macro recon_sla_days(severity) -%}case {{ severity }} when 'error' then 2 when 'info' then 30 else 5 end{%- endmacro %}

{#- Age in days to FINANCE_UI's buckets; the sort key goes with the text, which would sort 31-60 before 8-30. -#}
{% macro recon_aging_bucket(days) -%}
case when {{ days }} <= 2 then '0-2' when {{ days }} <= 7 then '3-7' when {{ days }} <= 30 then '8-30' when {{ days }} <= 60 then '31-60' else '60+' end
{%- endmacro %}
{% macro recon_aging_sort(days) -%}
cast(case when {{ days }} <= 2 then 1 when {{ days }} <= 7 then 2 when {{ days }} <= 30 then 3 when {{ days }} <= 60 then 4 else 5 end as integer)
{%- endmacro %}

{#- An instant that may not have come yet, as text: no NULL reaches a reader. -#}
{% macro recon_instant(instant) -%}coalesce(cast({{ instant }} as varchar), ''){%- endmacro %}

{#- Aggregates: hash of rows in a stated order; sorted distinct texts in one. -#}
{% macro recon_digest(expression, order_by) -%}{{ return(adapter.dispatch('recon_digest')(expression, order_by)) }}{%- endmacro %}
{% macro duckdb__recon_digest(expression, order_by) -%}md5(string_agg({{ expression }}, '|' order by {{ order_by }})){%- endmacro %}
{% macro recon_text_list(expression) -%}{{ return(adapter.dispatch('recon_text_list')(expression)) }}{%- endmacro %}
{% macro duckdb__recon_text_list(expression) -%}string_agg(distinct {{ expression }}, ', ' order by {{ expression }}){%- endmacro %}
