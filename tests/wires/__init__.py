"""The wires: TLS to both services, secrets in files, and the rights that each command needs."""
