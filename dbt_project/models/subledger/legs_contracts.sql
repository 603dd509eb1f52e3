-- One row per leg on the position of a contract: billing, recognition and refund liability of its obligations.
select * from {{ ref('legs_usage') }} where false
