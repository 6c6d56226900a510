"""What cameras and people have written into image files and beside them, as typed attributes.

Everything here comes from strangers: whatever is broken costs its own attribute and nothing else.
"""
