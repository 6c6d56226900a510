"""Families of generators: one file each, with the prompt, the processor and the decoding that it was trained with."""
