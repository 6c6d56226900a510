#!/bin/sh
# Trains mini: recipe.sh FLICKR8K IMAGE_WEIGHTS TEACHER_TEXTS TEACHER_NPY OUT (teacher rows: teach.py)
# glibc maps and unmaps every activation by default; with its thresholds raised convolutions run 1.6-2 times as fast.
set -eu
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
python "$(dirname "$0")/train.py" --flickr8k "$1" --image-weights "$2" --teacher-texts "$3" --teacher "$4" --out "$5"
