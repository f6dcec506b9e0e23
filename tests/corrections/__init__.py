"""Tests of corrections: credit notes."""
