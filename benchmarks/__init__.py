"""Cost of the subledger, measured: a generated business, the engine's build, the same work by hand, a small change."""
