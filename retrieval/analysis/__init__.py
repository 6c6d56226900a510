"""What the vectors of a collection show as a whole: its map, its groups, its tags. Reads, and writes nothing to it."""
