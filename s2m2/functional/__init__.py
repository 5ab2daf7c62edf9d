"""Tensors in, tensors out: no state, no files; randomness is an argument."""
