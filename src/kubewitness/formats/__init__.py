"""The shapes that records come in: typed structs, identity, redaction, times. Pure: no I/O."""
