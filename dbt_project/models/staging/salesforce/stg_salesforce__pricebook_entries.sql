-- One row per active (price book, product, currency): list price in major units per interval of the product.
select *
from (
    {{ staged_object('salesforce', 'pricebook_entry', {
        'pricebook_entry_id': ['$.Id', 'text'],
        'price_book_id': ['$.Pricebook2Id', 'text'],
        'product_id': ['$.Product2Id', 'text'],
        'currency': ['$.CurrencyIsoCode', 'text'],
        'unit_price': ['$.UnitPrice', 'decimal'],
        'is_active': ['$.IsActive', 'boolean'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(is_deleted, false) and coalesce(is_active, true)
