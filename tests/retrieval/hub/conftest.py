from tests.retrieval.encoders.conftest import own_cache, pictures, tiny

__all__ = ["own_cache", "pictures", "tiny"]
