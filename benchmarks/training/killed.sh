# A run of ResNet-50 and BERT that is killed in the middle and called again, beside one that is left alone.
# Usage: bash benchmarks/training/killed.sh FLICKR8K OUT
set -e
mkdir -p "$2"
python benchmarks/training/first_samples.py "$1/train-000.tar" 100 "$2/pairs.tar"
recipe="--val-share 0.25 --image-size 32 --text-layers 2 --batch-size 25 --epochs 3 --checkpoint-steps 1 --device cpu"

vlsearch train "$2/pairs.tar" --out "$2/alone" $recipe --quiet

vlsearch train "$2/pairs.tar" --out "$2/killed" $recipe --quiet & process=$!
until test -e "$2/killed/checkpoint.safetensors"; do sleep 0.1; done
kill -KILL $process
wait $process || echo "killed: exit code $?"
ls "$2/killed"

vlsearch train "$2/pairs.tar" --out "$2/killed" $recipe --quiet

sha256sum "$2"/alone/*/model.safetensors "$2"/killed/*/model.safetensors
cmp "$2/alone/best/model.safetensors" "$2/killed/best/model.safetensors"
cmp "$2/alone/last/model.safetensors" "$2/killed/last/model.safetensors"
echo "the weights are equal, bit for bit"
