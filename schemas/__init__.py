"""What is said on the wire: bytes become the domain's facts, and what the domain did becomes events."""
