"""Breaking everything: faults under load, and proof that nothing was lost, done twice or told wrongly."""
