"""A company's policy as data: what a change of it would do to the journals."""
