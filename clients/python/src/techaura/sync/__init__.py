"""Generated from protos/ by scripts/generate; not edited by hand."""
