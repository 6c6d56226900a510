# The article's own towers, ResNet-50 and BERT, from scratch at small scale.
# Usage: bash benchmarks/training/resnet50_bert.sh FLICKR8K OUT
# glibc's thresholds are raised here, before the process starts: convolutions then run up to twice as fast.
set -e
export OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
vlsearch train "$1/train-{000..005}.tar" --val "$1/val-000.tar" --out "$2" \
    --image-backbone resnet50 --image-size 48 --text-backbone bert --text-layers 2 \
    --epochs 8 --batch-size 64 --image-rate 3e-4 --text-rate 5e-4 --head-rate 5e-4 --warmup 0.1 --bfloat16 --crop-area 0.6 \
    --data-licence "Flickr8k: photographs for non-commercial research and education only"
