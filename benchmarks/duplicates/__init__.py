"""How well, and how fast, ``vlsearch duplicates`` finds edited copies."""
