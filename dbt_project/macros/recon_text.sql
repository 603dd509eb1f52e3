{#- Remittance text to a form that two systems share: upper case, letters and digits only. Null and '' never match. -#}
{% macro recon_normalised(text) -%}{{ return(adapter.dispatch('recon_normalised')(text)) }}{%- endmacro %}
{% macro duckdb__recon_normalised(text) -%}
nullif(upper(regexp_replace({{ text }}, '[^A-Za-z0-9]', '', 'g')), '')
{%- endmacro %}

{#- Field of a JSON text by a path that is itself an expression. -#}
{% macro recon_json_at(column, path) -%}{{ return(adapter.dispatch('recon_json_at')(column, path)) }}{%- endmacro %}
{% macro duckdb__recon_json_at(column, path) -%}json_extract_string({{ column }}, {{ path }}){%- endmacro %}

{#- Minor units as text for an explanation: plain digits with the currency, e.g. `12900 USD minor units`. -#}
{% macro recon_amount_text(amount, currency) -%}
cast({{ amount }} as varchar) || ' ' || {{ currency }} || ' (minor units)'
{%- endmacro %}

{#- An ERP amount in major units (decimal) to BIGINT minor units; half away from zero, although a ledger never has more
    digits than its currency. -#}
{% macro recon_to_minor(amount, exponent) -%}
cast(round(cast({{ amount }} as decimal(28, 6)) * {{ power_of_ten(exponent) }}, 0) as bigint)
{%- endmacro %}

{#- Minor units to DECIMAL(38,3) major units for published tables; exact, never through a double. -#}
{% macro recon_to_major(amount, exponent) -%}
cast(cast({{ amount }} as decimal(34, 0)) * cast(case {{ exponent }}
    when 0 then '1' when 1 then '0.1' when 2 then '0.01' when 3 then '0.001'
end as decimal(4, 3)) as decimal(38, 3))
{%- endmacro %}

{#- A snapshot file that an older home may not have, or not with every column: typed, with nulls for what is absent.
    `columns` = {name: SQL type}. The file is looked at when the model runs, not when the project is parsed. -#}
{% macro recon_optional_state(name, columns) -%}
{{ return(adapter.dispatch('recon_optional_state')(name, columns)) }}
{%- endmacro %}
{% macro duckdb__recon_optional_state(name, columns) -%}
{%- set path = env_var('REVENUE_STATE', '') ~ '/' ~ name ~ '.parquet' -%}
{%- set present = [] -%}
{%- if execute and run_query("select count(*) from glob('" ~ path ~ "')").columns[0].values()[0] > 0 -%}
    {%- for column in run_query("describe select * from read_parquet('" ~ path ~ "')").columns[0].values() -%}
        {%- do present.append(column) -%}
    {%- endfor -%}
{%- endif -%}
(select
    {%- for column, type in columns.items() %}
    cast({{ adapter.quote(column) if column in present else 'null' }} as {{ type }}) as {{ adapter.quote(column) }}{{ ',' if not loop.last }}
    {%- endfor %}
{% if present -%} from read_parquet('{{ path }}') {%- else -%} where 1 = 0 {%- endif %})
{%- endmacro %}

{#- Minor units of a currency in minor units of the group currency by a rec_group_rates row (alias `rate`); 0 without a
    rate, which the row's group_rate says. -#}
{% macro recon_to_group(amount, rate, exponent, group_exponent) -%}
case
    when {{ rate }}.denominator is null then cast(0 as bigint)
    else {{ half_up(
        'cast(' ~ amount ~ ' as hugeint) * ' ~ rate ~ '.numerator * ' ~ power_of_ten(group_exponent),
        rate ~ '.denominator * ' ~ power_of_ten(exponent)
    ) }}
end
{%- endmacro %}
