# The article's own towers, ResNet-50 and BERT, from scratch at small scale.
# Usage: bash benchmarks/training/resnet50_bert.sh FLICKR8K OUT
set -e
python benchmarks/training/first_samples.py "$1/train-000.tar" 200 "$2.pairs.tar"
vlsearch train "$2.pairs.tar" --val-share 0.25 --out "$2" --image-backbone resnet50 --text-backbone bert --image-size 32 \
    --batch-size 25 --epochs 4 --image-rate 1e-4 --text-rate 3e-4 --head-rate 1e-4 --ema 0.9 --device cpu \
    --data-licence "Flickr8k: photographs for non-commercial research and education only"
