"""Pure, typed rules: no Dagster, no I/O beyond reading a config folder that is passed in."""
