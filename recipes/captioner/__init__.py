"""Train the bundled captioner: a small decoder on the image features of ``mini``, for English and Chinese.

``python -m recipes.captioner --help`` runs the stages in order:

1. ``features.py`` computes, once for each photograph, what ``mini``'s image tower sees in each of its places.
2. ``texts.py`` cuts captions into tokens: English words, and pieces of Chinese that byte-pair encoding finds.
3. ``cross_entropy.py`` trains the decoder to write people's captions (``start.py`` says where its weights begin).
4. With ``--self-critical STEPS``, ``self_critical.py`` trains it on: what it draws is worth what CIDEr-D says of it.
5. ``export.py`` writes the folder that the product ships.

Every stage keeps its result in the output folder and is not repeated when the recipe is started again; training goes
on from its last checkpoint.
"""
