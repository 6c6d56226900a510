"""Pictures and texts to unit rows of one space; knows no collection."""
