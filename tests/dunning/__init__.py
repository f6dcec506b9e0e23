"""Tests of billing: charges, and bills on demand."""
