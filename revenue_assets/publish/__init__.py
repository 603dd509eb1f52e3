"""The finance schema to the places where people outside read it."""
