{#- A layer's schema is its own name in every environment; files, not schemas, keep environments apart. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
