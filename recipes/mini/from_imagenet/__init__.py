"""Train ``mini`` from ImageNet's weights, or go on from an earlier one, against teachers' rows (mini-1 to mini-6).

``recipe.sh`` runs all of it; ``recipes/mini/README.md`` says what each stage does and what was tried.
"""
