-- One row per CRM account that is not deleted.
select *
from (
    {{ staged_object('salesforce', 'account', {
        'account_id': ['$.Id', 'text'],
        'name': ['$.Name', 'text'],
        'parent_id': ['$.ParentId', 'text'],
        'country': ['$.BillingCountryCode', 'text'],
        'currency': ['$.CurrencyIsoCode', 'text'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(is_deleted, false)
