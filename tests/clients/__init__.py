"""Tests of the clients and of the techaura-sync command."""
