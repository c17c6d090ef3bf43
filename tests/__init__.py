"""The tests; a package, so that tests/gateway and the like do not shadow the packages they test."""
