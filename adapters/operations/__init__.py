"""Operations: what is held and what is to be sent, as operators look at it and act on it."""
