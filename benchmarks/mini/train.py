"""Trains mini in five stages, each kept when it is done. Usage: see recipe.sh.

1. distil: the text tower learns two sentence encoders' rows.
2. lexicon: it learns where the names of 1,000 classes belong in the class part of the space.
3. heads: both projections and the text tower learn captions, on features computed once.
4. finetune: the tuned image stages too, on augmented pictures and captions; a checkpoint an epoch.
5. balance: as heads, on the features of the fine-tuned tower, so that captions and classes find their shares again.

A stage whose file is there is not done again; a killed fine-tuning goes on at its last epoch.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from materials import LANGUAGES, Labelled, Lexicon, Taught, look_alikes, prototypes, read_captions, vary
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from student import DIMENSION, LEARNED, Student, unit
from torch import Tensor, nn
from vocabulary import Vocabulary

from indexer.training.losses import distillation, info_nce
from indexer.training.schedule import warmup_cosine
from indexer.training.validation import hit_rates
from retrieval.encoders.two_tower.text import load_tokenizer

CLASSES = range(1000)
SIDED = ("left", "right", "左", "右")


@dataclass(frozen=True)
class Recipe:
    """Settings; README.md beside this file says what was tried."""

    distil_epochs: int = 4
    lexicon_steps: int = 1600
    head_epochs: int = 25
    epochs: int = 26
    translation_epochs: int = 30
    balance_epochs: int = 24
    batch: int = 128  # captioned pictures a step of fine-tuning
    size: int = 192
    image_rate: float = 3e-4
    pull: float = 0.2  # towards the weights that fine-tuning started from, times the learning rate, a step
    ema: float = 0.995
    seed: int = 0


class Log:
    """Lines of metrics, shown and kept."""

    def __init__(self, out: Path) -> None:
        self.path, self.started = out / "metrics.jsonl", time.monotonic()

    def __call__(self, **line: object) -> None:
        """Add one."""
        text = json.dumps(line | {"seconds": round(time.monotonic() - self.started)})
        print(text, flush=True)
        with self.path.open("a") as file:
            file.write(text + "\n")


def one_way(logits: Tensor, positives: Tensor) -> Tensor:
    """InfoNCE from rows to columns; each positive meets the negatives alone."""
    negatives = logits.masked_fill(positives, float("-inf")).logsumexp(1, keepdim=True)
    terms = torch.logaddexp(logits, negatives) - logits
    return ((terms * positives).sum(1) / positives.sum(1)).mean()


def step(optimizer: torch.optim.Optimizer, loss: Tensor, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]


def groups(*parts: tuple[Sequence[nn.Parameter], float, float]) -> list[dict[str, object]]:
    """Optimizer groups of (parameters, peak rate, weight decay)."""
    return [{"params": list(p), "lr": rate, "peak": rate, "weight_decay": decay} for p, rate, decay in parts]


# --- stage 1


def distil(student: Student, taught: Taught, recipe: Recipe, log: Log) -> None:
    text, second_head = student.towers.text, nn.Linear(384, taught.second.shape[1])
    parameters = [*text.parameters(), *student.to_teacher.parameters(), *second_head.parameters()]
    optimizer = torch.optim.AdamW(groups((parameters, 2e-3, 0.0)))
    lengths = np.array([len(t) for t in taught.texts])
    size = 512
    steps = len(lengths) // size
    done, total = 0, recipe.distil_epochs * steps
    for epoch in range(recipe.distil_epochs):
        rng = np.random.default_rng((recipe.seed, 1, epoch))
        order = rng.permutation(len(lengths))
        chunks = np.array_split(order, len(order) // 16384 + 1)  # texts of like length share a batch
        order = np.concatenate([chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks])
        losses = []
        for batch in rng.permutation(steps):
            rows = order[batch * size : (batch + 1) * size]
            features = student.text_features([taught.texts[row] for row in rows])
            loss = distillation(student.to_teacher(features), taught.first[rows])
            places = taught.second_rows[rows]
            known = places >= 0
            if known.any():
                own = distillation(second_head(features[known]), taught.second[places[known]])
                loss = loss + known.float().mean() * own
            step(optimizer, loss, warmup_cosine(done, 200, total))
            optimizer.step()
            done += 1
            losses.append(loss.item())
        log(stage="distil", epoch=epoch + 1, loss=float(np.mean(losses)))


def remember(student: Student, taught: Taught, count: int, rng: np.random.Generator) -> Tensor:
    """The first teacher's loss on ``count`` random texts: what was distilled shall not be forgotten."""
    rows = rng.integers(len(taught.texts), size=count)
    features = student.text_features([taught.texts[row] for row in rows])
    return distillation(student.to_teacher(features), taught.first[rows])


# --- stage 2


def learn_lexicon(student: Student, taught: Taught, lexicon: Lexicon, recipe: Recipe, log: Log) -> None:
    towers = student.towers
    parts = (towers.text, towers.text_projection, student.to_teacher)
    optimizer = torch.optim.AdamW(groups(([p for part in parts for p in part.parameters()], 2e-3, 0.0)))
    draw = random.Random(recipe.seed)
    losses: list[float] = []
    for done in range(recipe.lexicon_steps):
        texts, stands_for, targets = lexicon.draw(draw, draw.sample(CLASSES, 448), 96)
        rows = unit(towers.text_projection(student.text_features(texts))[:, LEARNED:], dim=1)
        loss = 2 * distillation(rows, targets) + 0.3 * one_way(20 * rows @ lexicon.places.T, stands_for.T)
        loss = loss + remember(student, taught, 384, np.random.default_rng((recipe.seed, 2, done)))
        step(optimizer, loss, warmup_cosine(done, 50, recipe.lexicon_steps) + 0.1)
        optimizer.step()
        losses.append(loss.item())
        if done % 200 == 199:
            log(stage="lexicon", step=done + 1, loss=float(np.mean(losses[-200:])))


# --- stages 3 and 4


@dataclass(frozen=True)
class Heads:
    """Settings of stages 3 and 5; ``weights`` are :func:`objective`'s."""

    stage: str
    seed: int
    epochs: int
    batch: int
    text_rate: float
    image_rate: float
    scale_rate: float
    decay: float
    dropout: float  # of features
    dropped: float  # of sub-words
    weights: tuple[float, float, float, float]
    remembered: float


@dataclass(frozen=True)
class Pictures:
    """Captioned pictures and labelled photographs, with what the classifier says of each."""

    captions: list[dict[str, list[str]]]
    train: NDArray[np.uint8]
    labelled: Labelled
    features: dict[str, Tensor]
    believed: dict[str, Tensor]


def contrast(student: Student, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    """InfoNCE in both directions; texts without a positive are negatives of pictures, and ask nothing themselves."""
    logits = student.towers.scale() * images @ texts.T
    described = positives.any(0)
    return (one_way(logits, positives) + one_way(logits[:, described].T, positives[:, described].T)) / 2


def objective(
    student: Student,
    images: Tensor,
    captioned: int,
    texts: Tensor,
    positives: Tensor,
    believed: Tensor,
    drawn: tuple[list[str], Tensor, Tensor],
    names: tuple[list[str], Tensor],
    stand_ins: Tensor | None,
    weights: tuple[float, float, float, float],
) -> Tensor:
    """Captions, what the classifier believes by the drawn names, labels, stand-ins for classes, places of names.

    Args:
        student: gives the text rows of names, and both temperatures.
        images: unit rows of ``captioned`` captioned pictures, then of labelled ones.
        captioned: how many of the pictures have captions.
        texts: unit rows; those without a positive serve as negatives of pictures alone.
        positives: (captioned, texts) bool.
        believed: (pictures, 1000), the classifier's softmax.
        drawn: of :meth:`Lexicon.draw`, the first thousand one of each class in order.
        names: labels of the labelled pictures, and which are equal.
        stand_ins: (1000, 512) unit rows of :func:`prototypes`, if there are any.
        weights: of beliefs, labels, stand-ins and places; captions have 1.
    """
    named, stands_for, targets = drawn
    class_scale = student.class_log_scale.exp().clamp(max=100)
    captions = contrast(student, images[:captioned], texts, positives)
    name_rows = student.encode_texts(named)
    said = torch.log_softmax(class_scale * images @ name_rows[: len(CLASSES)].T, 1)
    beliefs = -(believed * said).sum(1).mean()
    label_texts, equal = names
    labels = info_nce(images[captioned:], student.encode_texts(label_texts), equal, class_scale)
    classes = (
        torch.zeros(()) if stand_ins is None else info_nce(stand_ins, name_rows, stands_for, class_scale)
    )
    # a name's vector shall lie in the class part: what it has in the learned part is noise to those who ask for it
    outside = 1 - name_rows[:, LEARNED:].norm(dim=1).mean()
    places = distillation(name_rows[:, LEARNED:], targets) + outside
    terms = (beliefs, labels, classes, places)
    return captions + sum((w * term for w, term in zip(weights, terms, strict=True)), torch.zeros(()))


def draw_texts(
    captions: Sequence[dict[str, list[str]]], rng: random.Random
) -> tuple[list[str], list[int], list[bool]]:
    """A caption of each language of each picture, its picture's place, and which pictures may be mirrored."""
    texts, owners, may_flip = [], [], []
    for place, own in enumerate(captions):
        drawn = [rng.choice(own[language]) for language in LANGUAGES]
        texts += drawn
        owners += [place] * len(drawn)
        may_flip.append(not any(word in text.lower() for text in drawn for word in SIDED))
    return texts, owners, may_flip


def translate(student: Student, taught: Taught, pictures: Pictures, recipe: Recipe, log: Log) -> Tensor:
    """(captions, 512) unit rows: where a small network on the first teacher's rows puts each text that it read.

    Fitted to the pictures' vectors as they are. It generalises from less than the bag does, and knows captions of
    pictures that are not here (COCO's): a second opinion for the bag to learn from.
    """
    place = {text: row for row, text in enumerate(taught.texts)}
    own = [
        {lang: [place[t.strip()] for t in texts] for lang, texts in one.items()} for one in pictures.captions
    ]
    width = taught.first.shape[1]
    network = nn.Sequential(nn.Linear(width, 1536), nn.GELU(), nn.Dropout(0.3), nn.Linear(1536, DIMENSION))
    log_scale = nn.Parameter(torch.tensor(float(np.log(40))))
    optimizer = torch.optim.AdamW(groups((list(network.parameters()), 1e-3, 0.1), ([log_scale], 2e-3, 0.0)))
    with torch.no_grad():
        images = student.project(pictures.features["train"])
    draw, size = random.Random(recipe.seed + 2), 1000
    steps = max(1, len(own) // size)
    for epoch in range(recipe.translation_epochs):
        order = np.random.default_rng((recipe.seed, 9, epoch)).permutation(len(own))
        for i in range(steps):
            rows = order[i * size : (i + 1) * size]
            drawn = [draw.choice(own[row][language]) for row in rows for language in LANGUAGES]
            noisy = taught.first[drawn] + 0.02 * torch.randn(len(drawn), width)
            owners = np.repeat(np.arange(len(rows)), len(LANGUAGES)).tolist()
            positives = which(owners, len(rows), len(drawn))
            scale = log_scale.exp().clamp(max=100)
            loss = info_nce(images[rows], unit(network(noisy), dim=-1), positives, scale)
            step(optimizer, loss, warmup_cosine(epoch * steps + i, 20, recipe.translation_epochs * steps))
            optimizer.step()
    log(stage="translate", loss=loss.item())
    network.eval()
    with torch.no_grad():
        return unit(network(taught.first[: taught.captions]), dim=-1)


def which(owners: Sequence[int], pictures: int, texts: int) -> Tensor:
    positives = torch.zeros(pictures, texts, dtype=torch.bool)
    positives[torch.tensor(owners), torch.arange(len(owners))] = True
    return positives


def learn_heads(
    student: Student,
    taught: Taught,
    lexicon: Lexicon,
    pictures: Pictures,
    stand_ins: Tensor | None,
    translated: Tensor | None,
    plan: Heads,
    recipe: Recipe,
    log: Log,
) -> None:
    """Stages 3 and 5: everything but the image tower, in large batches."""
    towers, draw, size = student.towers, random.Random(f"{recipe.seed} {plan.stage}"), plan.batch
    optimizer = torch.optim.AdamW(
        groups(
            (list(towers.text.parameters()), plan.text_rate, plan.decay),
            (list(towers.image_projection.parameters()), plan.image_rate, 0.0),
            (list(towers.text_projection.parameters()), 1e-3, plan.decay),
            (list(student.to_teacher.parameters()), plan.text_rate, 0.0),
            ([towers.log_scale, student.class_log_scale], plan.scale_rate, 0.0),
        )
    )
    steps = len(pictures.captions) // size
    done, total = 0, plan.epochs * steps
    for epoch in range(plan.epochs):
        order = np.random.default_rng((recipe.seed, plan.seed, epoch)).permutation(len(pictures.captions))
        losses = []
        for i in range(steps):
            rows = order[i * size : (i + 1) * size]
            labelled = draw.sample(pictures.labelled.trainable, 256)
            texts, owners, _ = draw_texts([pictures.captions[row] for row in rows], draw)
            features = torch.cat([pictures.features["train"][rows], pictures.features["classes"][labelled]])
            loss = objective(
                student,
                student.project(nn.functional.dropout(features, plan.dropout)),
                size,
                student.encode_texts(texts, plan.dropped, draw),
                which(owners, size, len(texts)),
                torch.cat([pictures.believed["train"][rows], pictures.believed["classes"][labelled]]),
                lexicon.draw(draw, CLASSES, 128),
                pictures.labelled.same(labelled),
                None if stand_ins is None else student.project(nn.functional.dropout(stand_ins, 0.1)),
                plan.weights,
            )
            rng = np.random.default_rng((recipe.seed, plan.seed + 1, done))
            loss = loss + plan.remembered * remember(student, taught, 512, rng)
            if translated is not None:
                some = rng.integers(len(translated), size=768)
                vectors = student.encode_texts([taught.texts[row] for row in some], plan.dropped, draw)
                loss = loss + 2 * distillation(vectors, translated[some])
            step(optimizer, loss, warmup_cosine(done, 20, total))
            optimizer.step()
            done += 1
            losses.append(loss.item())
        log(stage=plan.stage, epoch=epoch + 1, loss=float(np.mean(losses)))


def finetune(
    student: Student,
    taught: Taught,
    lexicon: Lexicon,
    pictures: Pictures,
    val: tuple[NDArray[np.uint8], list[dict[str, list[str]]]],
    recipe: Recipe,
    out: Path,
    log: Log,
) -> dict[str, Tensor]:
    """The averaged weights; checkpoints in ``out``."""
    # --- what learns
    towers = student.towers
    trunk = [p for p in towers.image.parameters() if p.requires_grad]
    start = [p.detach().clone() for p in trunk]
    optimizer = torch.optim.AdamW(
        groups(
            (trunk, recipe.image_rate, 0.0),
            (list(towers.text.parameters()), 1e-3, 0.05),
            (list(towers.image_projection.parameters()), 1e-3, 0.0),
            (list(towers.text_projection.parameters()), 1e-3, 0.05),
            (list(student.to_teacher.parameters()), 4e-4, 0.0),
            ([towers.log_scale], 2e-3, 0.0),
        ),
        fused=True,
    )
    alike = caption_similarity(taught, pictures.captions)
    averaged = {n: v.detach().clone() for n, v in student.state_dict().items()}
    first, averaged = resume(out, student, optimizer, start, averaged)
    steps = len(pictures.captions) // recipe.batch
    total = recipe.epochs * steps

    # --- the loop
    for epoch in range(first, recipe.epochs):
        torch.manual_seed(recipe.seed * 1000 + epoch)  # of dropout
        draw = random.Random(recipe.seed * 1000 + epoch)
        rng = np.random.default_rng((recipe.seed, 5, epoch))
        order = rng.permutation(len(pictures.captions))
        if epoch % 2:
            order = look_alikes(alike, order, 16, rng)
        losses = []
        for i in range(steps):
            done = epoch * steps + i
            rows = order[i * recipe.batch : (i + 1) * recipe.batch]
            texts, owners, may_flip = draw_texts([pictures.captions[row] for row in rows], draw)
            others = set(draw.sample(range(len(order)), min(256, len(order)))) - set(rows.tolist())
            texts += [draw.choice(pictures.captions[o][draw.choice(("en", "zh"))]) for o in sorted(others)]
            features = student.features(vary(pictures.train[rows], recipe.size, may_flip, draw))
            images = student.project(nn.functional.dropout(features, 0.1))
            positives = which(owners, len(rows), len(texts))
            loss = contrast(student, images, student.encode_texts(texts, 0.1, draw), positives)
            named, _, targets = lexicon.draw(draw, draw.sample(CLASSES, 400), 64)
            loss = loss + distillation(student.encode_texts(named)[:, LEARNED:], targets)
            loss = loss + 0.3 * remember(student, taught, 256, rng)
            share = warmup_cosine(done, 40, total)
            step(optimizer, loss, share)
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(trunk, start, recipe.image_rate * share * recipe.pull)
                decay = min(recipe.ema, (done + 1) / (done + 11))
                for name, value in student.state_dict().items():
                    averaged[name].lerp_(value, 1 - decay)
            losses.append(loss.item())
            if i % 10 == 9:
                log(stage="finetune", epoch=epoch + 1, step=i + 1, loss=float(np.mean(losses[-10:])))
        keep(out, student, optimizer, start, averaged, epoch + 1)
        log(
            stage="finetune", epoch=epoch + 1, loss=float(np.mean(losses)), val=judge(student, averaged, *val)
        )
    return averaged


def caption_similarity(taught: Taught, captions: Sequence[dict[str, list[str]]]) -> Tensor:
    """(n, n) cosines of the pictures' human captions, as the first teacher sees them."""
    place = {text: row for row, text in enumerate(taught.texts)}
    rows = [[place[t.strip()] for t in [*own["en"], *own["zh"]]] for own in captions]
    means = unit(torch.stack([taught.first[own].mean(0) for own in rows]), dim=-1)
    return means @ means.T


def resume(
    out: Path,
    student: Student,
    optimizer: torch.optim.Optimizer,
    start: list[Tensor],
    averaged: dict[str, Tensor],
) -> tuple[int, dict[str, Tensor]]:
    """Load the checkpoint, if there is one; the epochs done, and the averaged weights."""
    path = out / "finetune-checkpoint.safetensors"
    if not path.exists():
        return 0, averaged
    kept = load_file(path)
    student.load_state_dict({n[6:]: v for n, v in kept.items() if n.startswith("model.")})
    for place, tensor in enumerate(start):
        tensor.copy_(kept[f"start.{place}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in kept.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".")
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    for (
        parameter,
        own,
    ) in optimizer.state.items():  # fused steps walk moments and weights side by side in memory
        for field in ("exp_avg", "exp_avg_sq"):
            own[field] = torch.empty_like(parameter).copy_(own[field])
    return int(kept["epoch"]), {n[9:]: v for n, v in kept.items() if n.startswith("averaged.")}


def keep(
    out: Path,
    student: Student,
    optimizer: torch.optim.Optimizer,
    start: list[Tensor],
    averaged: dict[str, Tensor],
    epoch: int,
) -> None:
    """Replace the checkpoint in one step."""
    tensors = {f"model.{n}": v for n, v in student.state_dict().items()} | {"epoch": torch.tensor(epoch)}
    tensors |= {f"averaged.{n}": v for n, v in averaged.items()} | {
        f"start.{i}": v for i, v in enumerate(start)
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{n}": torch.as_tensor(v) for n, v in state.items()}
    path = out / "finetune-checkpoint.safetensors"
    save_file({n: v.detach().contiguous().clone() for n, v in tensors.items()}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@torch.no_grad()
def judge(
    student: Student,
    weights: dict[str, Tensor],
    pixels: NDArray[np.uint8],
    captions: Sequence[dict[str, list[str]]],
) -> dict[str, dict[str, float]]:
    """Hit rates on val, by language, of other weights than the student's own."""
    own = {n: v.clone() for n, v in student.state_dict().items()}
    student.load_state_dict(weights)
    images = student.project(all_features(student, pixels)).numpy()
    figures = {}
    for language in LANGUAGES:
        texts = [text for captioned in captions for text in captioned[language]]
        owners = np.repeat(np.arange(len(captions)), [len(captioned[language]) for captioned in captions])
        figures[language] = hit_rates(
            images, student.encode_texts(texts).numpy(), list(enumerate(owners.tolist()))
        )
    student.load_state_dict(own)
    return figures


@torch.no_grad()
def all_features(student: Student, pixels: NDArray[np.uint8]) -> Tensor:
    """(n, 1280), the pictures as they are, 224x224."""
    rows = []
    for start in range(0, len(pixels), 64):
        batch = torch.from_numpy(np.array(pixels[start : start + 64])).permute(0, 3, 1, 2).float()
        small = nn.functional.interpolate(batch, (224, 224), mode="bilinear", antialias=True).round()
        rows.append(student.features(small))
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--image-weights", type=Path, required=True)
    parser.add_argument(
        "--materials", type=Path, required=True, help="what data.py, texts.py, teach.py, tokens.py wrote"
    )
    parser.add_argument("--out", type=Path, required=True)
    for field, default in (
        ("distil-epochs", Recipe.distil_epochs),
        ("lexicon-steps", Recipe.lexicon_steps),
        ("head-epochs", Recipe.head_epochs),
        ("epochs", Recipe.epochs),
        ("balance-epochs", Recipe.balance_epochs),
    ):
        parser.add_argument(f"--{field}", type=int, default=default)
    parser.add_argument("--aspect", type=float, default=1.4, help="chosen on val by measure.py")
    args = parser.parse_args()
    recipe = Recipe(
        epochs=args.epochs,
        head_epochs=args.head_epochs,
        balance_epochs=args.balance_epochs,
        lexicon_steps=args.lexicon_steps,
        distil_epochs=args.distil_epochs,
    )
    out, materials = args.out, args.materials
    out.mkdir(parents=True, exist_ok=True)
    log = Log(out)
    torch.manual_seed(recipe.seed)

    # --- data
    tokenizer = load_tokenizer(materials / "tokenizer.json")
    (out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    student = Student(tokenizer, args.image_weights)
    taught = Taught.load(materials, args.flickr8k)
    pixels = {name: np.load(materials / f"{name}.npy", mmap_mode="r") for name in ("train", "val", "classes")}
    machine = args.flickr8k / "captions_zh.tsv"
    captions = read_captions(materials / "train.json", machine)
    labelled = Labelled.load(materials / "classes.json")
    val = (pixels["val"], read_captions(materials / "val.json", machine))

    def look() -> Pictures:
        """The pictures with their features as the image tower is now."""
        features = {name: all_features(student, pixels[name]) for name in ("train", "classes")}
        believed = {name: student.logits(rows).softmax(1) for name, rows in features.items()}
        return Pictures(captions, pixels["train"], labelled, features, believed)

    pictures = look()
    everything = torch.cat(list(pictures.features.values()))
    student.fix_class_part(everything)
    lexicon = Lexicon(Vocabulary.read(Path(__file__).with_name("classes.tsv")), student.class_places())
    student.hold_class_part()

    # --- stages
    def heads() -> None:
        plan = Heads(
            "heads", 3, recipe.head_epochs, 512, 5e-4, 1e-3, 1e-3, 0.02, 0.15, 0.0, (0.5, 0.3, 0.3, 3.0), 0.5
        )
        learn_heads(
            student, taught, lexicon, pictures, prototypes(student, everything), None, plan, recipe, log
        )

    def tune() -> None:
        student.load_state_dict(finetune(student, taught, lexicon, pictures, val, recipe, out, log))

    def balance() -> None:
        plan = Heads(
            "balance",
            7,
            recipe.balance_epochs,
            1000,
            1e-3,
            5e-4,
            3e-3,
            0.05,
            0.2,
            0.1,
            (0.3, 0.0, 0.0, 1.5),
            0.3,
        )
        now = look()
        translated = translate(student, taught, now, recipe, log)
        learn_heads(student, taught, lexicon, now, None, translated, plan, recipe, log)

    stages = {
        "distil": lambda: distil(student, taught, recipe, log),
        "lexicon": lambda: learn_lexicon(student, taught, lexicon, recipe, log),
        "heads": heads,
        "finetune": tune,
        "balance": balance,
    }
    for name, learn in stages.items():
        if (out / f"{name}.safetensors").exists():
            student.load_state_dict(load_file(out / f"{name}.safetensors"))
        else:
            learn()
            student.write(out, name)
    student.export(out / "best", args.aspect)


if __name__ == "__main__":
    main()
