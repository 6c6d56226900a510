"""Pictures that are the same, or of the same moment: fingerprints of pixels, alignment, groups."""
