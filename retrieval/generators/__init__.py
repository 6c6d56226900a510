"""Models that speak: images to captions, and to answers to questions. A generator knows no collection."""
