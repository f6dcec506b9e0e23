"""The kinds of measurement, each with what it finds."""
