"""``vlsearch serve``: a page, and an HTTP API, which translate requests into calls of the Python API and back.

Needs the extra ``serve``. Everything answered here is answered to Python programs as well, by ``retrieval.open``,
``retrieval.Pictures`` and the engine's methods; nothing here ranks, reads a catalogue or decodes a picture.
"""
