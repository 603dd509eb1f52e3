{#- Money enters as the vendor writes it and leaves as BIGINT minor units. Never through a binary float. -#}

{#- Decimal text in major units to minor units, half away from zero, once. `exponent` = ISO 4217 digits. -#}
{% macro major_to_minor(text, exponent) -%}
cast(round(cast({{ text }} as decimal(28, 9)) * {{ power_of_ten(exponent) }}, 0) as bigint)
{%- endmacro %}

{#- 10 to the power of a currency exponent as an exact integer. ISO 4217 knows 0, 2, 3 and 4. -#}
{% macro power_of_ten(exponent) -%}
cast(case {{ exponent }} when 0 then 1 when 1 then 10 when 2 then 100 when 3 then 1000 when 4 then 10000 end as integer)
{%- endmacro %}

{#- Decimal text in minor units (a vendor's unit price) to a decimal of major units; exact, twelve decimals. -#}
{% macro minor_text_to_major(text, exponent) -%}
cast(cast({{ text }} as decimal(22, 8)) * cast(case {{ exponent }}
    when 0 then '1' when 1 then '0.1' when 2 then '0.01' when 3 then '0.001' when 4 then '0.0001'
end as decimal(5, 4)) as decimal(28, 12))
{%- endmacro %}

{#- A decimal as the shortest text that means the same: 29.950000 -> 29.95, 30.00 -> 30. -#}
{% macro decimal_text(expression) -%}
case
    when cast({{ expression }} as varchar) like '%.%'
        then rtrim(rtrim(cast({{ expression }} as varchar), '0'), '.')
    else cast({{ expression }} as varchar)
end
{%- endmacro %}

{#- Integer quotient half away from zero, any sign; operands up to 38 digits. -#}
{% macro divide_half_up(numerator, denominator) -%}
{{ return(adapter.dispatch('divide_half_up')(numerator, denominator)) }}
{%- endmacro %}
{% macro duckdb__divide_half_up(numerator, denominator) -%}
cast(sign({{ numerator }}) * ((2 * abs({{ numerator }}) + {{ denominator }}) // (2 * {{ denominator }})) as bigint)
{%- endmacro %}

{#- Type of exact integers of up to 38 digits. -#}
{% macro wide_integer() -%}{{ return(adapter.dispatch('wide_integer')()) }}{%- endmacro %}
{% macro duckdb__wide_integer() -%}hugeint{%- endmacro %}

{#- Quotient of integers where the division is known to leave no rest. -#}
{% macro divide_exact(numerator, denominator) -%}{{ return(adapter.dispatch('divide_exact')(numerator, denominator)) }}{%- endmacro %}
{% macro duckdb__divide_exact(numerator, denominator) -%}({{ numerator }} // {{ denominator }}){%- endmacro %}

{#- A number that every length of a billing period in days divides, so that fractions of different periods add up as
    integers: lcm of 1, 7, 28-31 (months), 89-92 (quarters), 365 and 366 (years). -#}
{% macro day_fraction_base() -%}134228311455420{%- endmacro %}
