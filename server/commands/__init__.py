"""The commands of `usthand`, one module each."""
