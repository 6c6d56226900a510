"""Models that look at an image and words together, and say how well they match. A reranker knows no collection."""
