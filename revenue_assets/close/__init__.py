"""The month-end close: exceptions, gates, and the lock on a period."""
