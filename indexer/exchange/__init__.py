"""Collections to and from plain npy and Parquet files, as clip-retrieval has them."""
