"""Source text to rows that can be written: pure functions on Polars frames."""
