-- One row per CRM product that is not deleted.
select *
from (
    {{ staged_object('salesforce', 'product2', {
        'product_id': ['$.Id', 'text'],
        'product_code': ['$.ProductCode', 'text'],
        'name': ['$.Name', 'text'],
        'product_family': ['$.Family', 'text'],
        'is_active': ['$.IsActive', 'boolean'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(is_deleted, false)
