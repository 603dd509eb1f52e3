-- One row per CPQ quote line that is not deleted; term_end is exclusive, the vendor's end date is inclusive.
select
    staged.*,
    {{ add_days('staged.last_day', 1) }} as term_end
from (
    {{ staged_object('salesforce', 'quote_line', {
        'quote_line_id': ['$.Id', 'text'],
        'quote_id': ['$.SBQQ__Quote__c', 'text'],
        'product_id': ['$.SBQQ__Product__c', 'text'],
        'product_code': ['$.SBQQ__ProductCode__c', 'text'],
        'entity_id': ['$.Legal_Entity__c', 'text'],
        'currency': ['$.CurrencyIsoCode', 'text'],
        'quantity': ['$.SBQQ__Quantity__c', 'decimal'],
        'list_unit_price': ['$.SBQQ__ListPrice__c', 'decimal'],
        'net_unit_price': ['$.SBQQ__NetPrice__c', 'decimal'],
        'net_total': ['$.SBQQ__NetTotal__c', 'text'],
        'charge_type': ['$.SBQQ__ChargeType__c', 'text'],
        'subscription_type': ['$.SBQQ__SubscriptionType__c', 'text'],
        'term_start': ['$.SBQQ__StartDate__c', 'date'],
        'last_day': ['$.SBQQ__EndDate__c', 'date'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(staged.is_deleted, false)
