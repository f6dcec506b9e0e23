"""Tests of days."""
