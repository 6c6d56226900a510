"""How well captions describe pictures: BLEU, CIDEr-D, ROUGE-L and CLIPScore, by the published protocol."""
