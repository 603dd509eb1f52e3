-- One row per voided credit note.
with voided as (
    {{ events_of(['credit_note.voided'], {'credit_note_id': 'VARCHAR'}) }}
)

select {{ envelope() }}, d.credit_note_id from voided
