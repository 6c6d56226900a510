"""Decoders of kinds of files beside those that Pillow reads by itself; one file each, with a ``Decoder`` record."""
