"""How often answers to questions about images are right: VQA v2 and COCO-QA, in their published layouts."""
