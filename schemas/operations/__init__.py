"""Operations on the wire: what operators say of held messages, and ask of them."""
