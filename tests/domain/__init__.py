"""Tests of the rules: what a fact means for the books."""
