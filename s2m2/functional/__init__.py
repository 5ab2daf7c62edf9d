"""Tensors in, tensors out: the losses and draws of S2M2. No state, no files; randomness is an argument."""
