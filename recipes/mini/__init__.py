"""Continue the training of the bundled model ``mini`` at 256 pixels, with photographs whose objects are labelled.

``python -m recipes.mini --help`` runs the stages in order:

1. ``frozen.py`` computes, once for each view of each photograph, what the frozen part of the image tower gives.
2. ``heads_stage.py`` trains the text tower's MLP and both projections in large batches: the names of things go where
   the photographs that show them are, and captions choose photographs as they did.
3. ``image_stage.py`` trains the last image stages against texts that stay; the weights of several runs are averaged.
4. ``refit_stage.py`` fits the heads once more, so that words, labels and names find their photographs (``wishes.py``
   says where each text is to go); that is exported.

Every stage keeps its result in the output folder and is not repeated when the recipe is started again.
``from_imagenet`` is the recipe that made the earlier ones.
"""
