"""Turns source text into rows that can be written: pure functions on Polars frames."""
