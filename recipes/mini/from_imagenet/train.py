"""Trains mini in six stages, each kept when it is done. Usage: see recipe.sh.

1. distil: the text tower learns two sentence encoders' rows.
2. lexicon: it learns where the names of 1,000 classes belong in the class part of the space.
3. finetune: the image tower learns captions against small networks on teachers' rows; several runs, then their mean.
4. opinion: such networks are fitted once more, to the features of that mean, three times; what follows has their mean.
5. translate: the text tower learns what they say of captions.
6. balance: text tower and projections learn captions and classes together, on the same features; several runs, then
   between where they started and their mean, then halfway to the earlier mini, if there was one.

A stage whose file is there is not done again, unless one before it is; a killed fine-tuning goes on at its last epoch.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import torch
from safetensors.torch import load_file
from torch import Tensor

from recipes.mini.from_imagenet.balance import Balancing, Lectures, Loss, balance, settled
from recipes.mini.from_imagenet.checkpoint import write
from recipes.mini.from_imagenet.distil import Distilling, distil
from recipes.mini.from_imagenet.earlier import Earlier, turn
from recipes.mini.from_imagenet.finetune import Finetuning, Lessons, finetune, tune
from recipes.mini.from_imagenet.judge import judge_towers
from recipes.mini.from_imagenet.lexicon import Naming, learn_lexicon
from recipes.mini.from_imagenet.materials import Labelled, Taught, read_captions, read_translations
from recipes.mini.from_imagenet.opine import Opining, Told, keep_directions, learn_opinions
from recipes.mini.from_imagenet.optimization import Log
from recipes.mini.from_imagenet.pixels import Features, all_features, load_pixels
from recipes.mini.from_imagenet.short import Short
from recipes.mini.from_imagenet.student import SIZE, Student, without_attention
from recipes.mini.from_imagenet.teachers import Reading, Teachers, load_lines
from recipes.mini.from_imagenet.translate import Translating, translate
from recipes.mini.output_folder import SettingsError, claim, digest
from recipes.mini.vocabulary import Vocabulary
from retrieval.hub.tokenizer_files import load_tokenizer

LAST = {"texts": "lexicon", "middle": "translate"}  # stage of a part that has several


@dataclass(frozen=True)
class Recipe:
    """Settings of all stages; README.md beside this file says what was tried."""

    distil: Distilling
    lexicon: Naming
    finetune: Finetuning
    opinion: Opining
    translate: Translating
    balance: Balancing
    views: int = 3  # of each train picture, whole and cropped, from the opinion stage on
    seed: int = 0


class Training:
    """The stages, each a method that changes the student; what several need is made once, when it is first needed."""

    def __init__(
        self,
        student: Student,
        recipe: Recipe,
        flickr8k: Path,
        materials: Path,
        out: Path,
        earlier: Earlier | None = None,
    ) -> None:
        self.student, self.recipe, self.out, self.log = student, recipe, out, Log(out)
        self.earlier = earlier
        self.materials, machine = materials, flickr8k / "captions_zh.tsv"
        self.captions = read_captions(materials / "train.json", machine)
        self.val_captions = read_captions(materials / "val.json", machine)
        self.translations = read_translations(flickr8k)
        self.pixels = load_pixels(materials)

    # --- what is learned from

    @cached_property
    def taught(self) -> Taught:
        """For the text tower."""
        return Taught.load(self.materials, self.translations)

    @cached_property
    def teachers(self) -> Teachers:
        """For the second opinion."""
        return Teachers.load(self.materials)

    @cached_property
    def reading(self) -> Reading:
        """The captions, as the teachers see them."""
        return Reading.of(self.teachers, self.captions, self.val_captions)

    @cached_property
    def frozen(self) -> Features:
        """Before fine-tuning."""
        return self._features("frozen", 1)

    @cached_property
    def lessons(self) -> Lessons:
        """For the image tower."""
        return Lessons.of(self.pixels, self.captions, self.reading, self.frozen)

    @cached_property
    def features(self) -> Features:
        """After it."""
        return self._features("features", self.recipe.views)

    def _features(self, name: str, views: int) -> Features:
        path = self.out / f"{name}.safetensors"
        if not path.exists():
            Features.of(self.student, self.pixels, views).keep(path)
        return Features.load(path)

    @cached_property
    def told(self) -> Told:
        """What the second opinion says, once there is one."""
        texts = load_lines(self.materials / "captions.txt")
        return Told.by(self.student.opinions, self.teachers, texts, self.translations)

    @cached_property
    def short(self) -> Short:
        """What it says of names and words."""
        vocabulary = Vocabulary.of_imagenet()
        words = load_lines(self.materials / "words.txt")
        return Short.by(self.student.opinions, self.teachers, vocabulary, words)

    # --- stages

    def distil(self) -> None:
        """Teach the text tower the teachers' rows, or take an earlier one."""
        if self.earlier:
            self.earlier.lend(self.student, self.taught)
            return
        with without_attention(self.student.towers.text):
            distil(self.student, self.taught, self.recipe.distil, self.recipe.seed, self.log)

    def lexicon(self) -> None:
        """Teach the text tower where class names belong."""
        if self.earlier:  # knows its names, and may have seen pictures of another size
            self.student.centre_class_part(self.frozen.kept())
            return
        self.student.fix_class_part(self.frozen.kept())
        with without_attention(self.student.towers.text):
            learn_lexicon(self.student, self.taught, self.recipe.lexicon, self.recipe.seed, self.log)

    def finetune(self) -> None:
        """Fine-tune the image tower in several runs."""
        finetune(self.student, self.lessons, self.recipe.finetune, self.out, self.log)
        if self.earlier:
            self.earlier.join(self.student, self.recipe.finetune.runs)

    def finetune_once(self, seed: int) -> None:
        """One run of that stage, which needs none of those before."""
        tune(self.student, self.lessons, self.recipe.finetune, seed, self.out, self.log)

    def opinion(self) -> None:
        """Fit the small networks to the fine-tuned features."""
        tuned = self.features.tuned()
        learn_opinions(self.student, tuned, self.reading, self.recipe.opinion, self.recipe.seed, self.log)
        keep_directions(self.student, tuned, self.told)
        if self.earlier:
            turn(self.student, self.told)

    def translate(self) -> None:
        """Teach the text tower what the networks say."""
        texts, plan = (self.told, self.short, self.taught), self.recipe.translate
        translate(self.student, *texts, plan, self.recipe.seed, self.log)
        self._judge("translate", self.features.val)

    @cached_property
    def lectures(self) -> Lectures:
        """For both towers."""
        labelled = Labelled.load(self.materials / "classes.json")
        return Lectures(self.captions, labelled, self.features, self.told, self.short, self.taught)

    def balance(self) -> None:
        """Train the text tower and the projections together, in several runs."""
        plan, start = self.recipe.balance, {n: v.clone() for n, v in self.student.state_dict().items()}
        ends = []
        for run in range(plan.runs):
            self.student.load_state_dict(start)
            ends.append(load_file(self.balance_once(run)))
        self.student.load_state_dict(settled(start, ends, plan))
        if self.earlier:
            self.earlier.meet(self.student)
        self.student.shrink_class_part(plan.class_share)
        self._judge("balance", all_features(self.student, self.pixels["val"]))

    def balance_once(self, run: int) -> Path:
        """One run of that stage, from where the stages before have left the student; its file, if it is not there."""
        path = self.out / f"balance-{run}.safetensors"
        if not path.exists():
            balance(self.student, self.lectures, self.recipe.balance, self.recipe.seed + run, self.log)
            self._judge(f"balance, run {run}", self.features.val)
            write(path, self.student.state_dict())
        return path

    def _judge(self, stage: str, features: Tensor) -> None:
        self.log(stage=stage, val=judge_towers(self.student, features, self.val_captions))


def forget(out: Path, stage: str) -> None:
    """Delete what a stage kept, since what it was made from is made anew.

    Runs of fine-tuning stay: they do not depend on the stages before.
    """
    beside = {"opinion": ("features.safetensors",), "balance": ("balance-*.safetensors",)}
    for pattern in (f"{stage}.safetensors", *beside.get(stage, ())):
        for path in out.glob(pattern):
            path.unlink()


def run(training: Training, last: str = "balance") -> None:
    """All stages up to ``last`` that are not done, and those after them."""
    stages = (
        training.distil,
        training.lexicon,
        training.finetune,
        training.opinion,
        training.translate,
        training.balance,
    )
    for place, stage in enumerate(stages):
        path = training.out / f"{stage.__name__}.safetensors"
        if path.exists():
            training.student.load_state_dict(load_file(path))
        else:
            for later in stages[place + 1 :]:
                forget(training.out, later.__name__)
            stage()
            write(path, training.student.state_dict())
        if stage.__name__ == last:
            return


def plan_of(text: str) -> tuple[int, ...]:
    """Sizes by epoch of a plan like 160x6,192x4: six epochs at 160 pixels, then four at 192."""
    parts = [part.split("x") for part in text.split(",")]
    return tuple(int(size) for size, epochs in parts for _ in range(int(epochs)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--image-weights", type=Path, required=True)
    parser.add_argument("--materials", type=Path, required=True, help="what the other scripts wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an earlier mini's folder, in place of distil and lexicon")
    parser.add_argument(
        "--start-runs", type=int, default=3, help="as how many runs --start counts in the mean with new ones"
    )
    parser.add_argument(
        "--start-class-share", type=float, default=0.35, help="what mini-5 has of the class part in texts"
    )
    parser.add_argument("--distil-epochs", type=int, default=Distilling.epochs)
    parser.add_argument("--lexicon-steps", type=int, default=Naming.steps)
    parser.add_argument("--runs", type=int, default=Finetuning.runs, help="of fine-tuning")
    parser.add_argument(
        "--first-run", type=int, default=Finetuning.first, help="its seed: one that --start has not had"
    )
    parser.add_argument(
        "--only",
        metavar="PART",
        help="texts (distil and lexicon), finetune-RUN, middle (up to translate) or balance-RUN: texts and runs of"
        " fine-tuning do not need each other, nor do runs of balance, so that a process a core may do some",
    )
    parser.add_argument("--warm-epochs", type=int, default=Finetuning.warm_epochs)
    parser.add_argument("--sizes", type=plan_of, default=Finetuning.sizes, help="of fine-tuning: 160x6,192x4")
    parser.add_argument("--opinion-epochs", type=int, default=Opining.epochs)
    parser.add_argument("--translate-epochs", type=int, default=Translating.epochs)
    parser.add_argument("--balance-epochs", type=int, default=Balancing.epochs)
    parser.add_argument("--balance-runs", type=int, default=Balancing.runs)
    parser.add_argument("--loss", choices=get_args(Loss), default=Balancing.loss, help="of the last stage")
    parser.add_argument("--balance-rate", type=float, default=Balancing.rate, help="of learning, likewise")
    parser.add_argument("--aspect", type=float, default=1.3, help="chosen on val by measure.py")
    args = parser.parse_args()
    parts = ["texts", *(f"finetune-{args.first_run + run}" for run in range(args.runs)), "middle"]
    parts += [f"balance-{run}" for run in range(args.balance_runs)]
    if args.only not in (None, *parts):
        parser.error(f"--only {args.only} is none of {', '.join(parts)}")
    return args


def run_part(training: Training, part: str) -> None:
    """What one process does beside others: see ``--only``."""
    if part in LAST:
        run(training, LAST[part])
        return
    stage, number = part.split("-")
    if stage == "finetune":
        training.finetune_once(int(number))
    else:
        run(training, LAST["middle"])
        training.balance_once(int(number))


def main() -> None:
    """Run the command."""
    args = parse()
    recipe = Recipe(
        Distilling(args.distil_epochs),
        Naming(args.lexicon_steps),
        Finetuning(args.runs, args.first_run, args.sizes, args.warm_epochs),
        Opining(args.opinion_epochs),
        Translating(args.translate_epochs),
        Balancing(args.loss, args.balance_rate, args.balance_epochs, args.balance_runs),
    )
    made_with = {"size": SIZE, "sizes of fine-tuning": args.sizes, "start": args.start and digest(args.start)}
    try:
        claim(args.out, made_with)
    except SettingsError as error:
        sys.exit(f"error: {error}")
    tokenizer = load_tokenizer((args.start or args.materials) / "tokenizer.json")
    (args.out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    torch.manual_seed(recipe.seed)
    student = Student(tokenizer, args.image_weights)
    student.hold_class_part()
    earlier = args.start and Earlier.load(args.start, args.start_runs, args.start_class_share)
    training = Training(student, recipe, args.flickr8k, args.materials, args.out, earlier)
    training.log(settings=asdict(recipe))
    if args.only:
        run_part(training, args.only)
    else:
        run(training)
        student.export(args.out / "best", args.aspect)


if __name__ == "__main__":
    main()
