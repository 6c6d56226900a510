"""Checkpoints of the model hub: CLIP, SigLIP, SigLIP 2, Chinese-CLIP, AltCLIP, MetaCLIP 2 and ALIGN.

The weights run through transformers; padding, context length, case, pooling and pixels are ours, because they
differ from family to family and because a text's padded length must be a function of that text alone. Each
family's knowledge is one small file, with its source. Nothing here executes code from a checkpoint, reads a
pickle, or reaches the network; only :mod:`retrieval.encoders.hub.download` does the last, when it is asked
to.
"""
