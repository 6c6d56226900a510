"""Families of hub checkpoints: CLIP, SigLIP, SigLIP 2, Chinese-CLIP, AltCLIP, MetaCLIP 2 and ALIGN.

The weights run through transformers; padding, context length, case, pooling and pixels are decided here, because
they differ from family to family and because a text's padded length must be a function of that text alone. Each
family's knowledge is one small file, with its source.
"""
