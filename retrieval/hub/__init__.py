"""Checkpoints of the model hub: the local cache, downloads, and opening what a stranger has published.

A checkpoint is a folder of ``config.json``, a tokenizer and safetensors. Nothing here knows what a model is for;
:mod:`retrieval.encoders.families` and :mod:`retrieval.generators.families` do. Nothing here executes code from a
checkpoint or reads a pickle, and only :mod:`retrieval.hub.download` reaches the network, when it is asked to.
"""
