"""Booking, batching and delivery to the ERP, exactly once."""
