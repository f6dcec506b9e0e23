"""Tests of what is said on the wire, in and out."""
