{#- A returned row is a key that occurs more than once. Blocks: everything after it would count twice. -#}
{% test subledger_unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
