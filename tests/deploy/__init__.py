"""Tests of the files that put the service on a machine."""
