"""Bringing a built subledger up to date at the cost of what new events touch, with the figures of a full build."""
