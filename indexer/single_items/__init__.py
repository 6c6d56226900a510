"""What :class:`indexer.ItemWriter` is made of: what callers give, what the catalogue has, and the encoder."""
