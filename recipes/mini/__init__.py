"""Continue the training of the bundled model ``mini`` at 256 pixels, with photographs whose objects are labelled.

``python -m recipes.mini --help`` runs the stages in order:

1. ``frozen.py`` computes, once for each view of each photograph, what the frozen part of the image tower gives.
2. ``text_stage.py`` moves the text tower: the names of things go where the photographs that show them are.
3. ``image_stage.py`` fine-tunes the last image stages against the text tower's vectors.
4. ``projection_stage.py`` trains the image projection in large batches, between the start and what came out.
5. ``interpolation.py`` interpolates the weights with those of the start; the best on average is exported.

Every stage keeps its result in the output folder and is not repeated when the recipe is started again.
``from_imagenet`` is the recipe that made the earlier ones.
"""
