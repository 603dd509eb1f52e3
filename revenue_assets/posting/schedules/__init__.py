"""Revenue schedules of entities whose ERP recognises over time: what changed, its outbox, its worker."""
