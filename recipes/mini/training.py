"""The stages in order: each is a method, and keeps what it made in the output folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from recipes.mini import figures, heads
from recipes.mini.caption_words import CaptionWords, caption_words
from recipes.mini.frozen import (
    Features,
    Forward,
    Pool,
    compute,
    openvino_forward,
    openvino_pool,
    pooled,
    torch_forward,
    torch_pool,
    tuned_stages,
)
from recipes.mini.heads_stage import Lessons, space, train_heads, with_classes_placed
from recipes.mini.image_stage import Remembered, Scenes, Shown, train_images
from recipes.mini.names import Names, read_class_labels
from recipes.mini.photographs import Photograph, read_set
from recipes.mini.refit_stage import fit_texts, refit_images
from recipes.mini.settings import Settings
from recipes.mini.spoken import Spoken, choose_texts
from recipes.mini.start import Tensors, load_start, mean_of, weights_of
from recipes.mini.texts import NameScores, Said, TextEncoder, guess_captions, present, read_captions
from recipes.mini.vocabulary import Vocabulary
from recipes.mini.wishes import Pictured, Rows, make_wishes
from retrieval.hub.tokenizer_files import load_tokenizer

_UNSURE = 0.3
_TRAINED = ("flickr_train", "coco_train")


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        data: holds flickr8k, coco_labels, classes, coco_mini and coco_captions.txt.
        classifier: EfficientNet-Lite2's weights.
        start: the model folder that training starts from.
        out: what the stages make.
    """

    data: Path
    classifier: Path
    start: Path
    out: Path


class Training:
    """What several stages need is made once, when it is first needed."""

    def __init__(self, folders: Folders, settings: Settings, openvino: bool = False) -> None:
        self.folders, self.settings, self._openvino = folders, settings, openvino
        self.names, self.vocabulary = Names.read(), Vocabulary.of_imagenet()
        self.tokenizer = load_tokenizer(folders.start / "tokenizer.json")
        self.model = load_start(folders.start, settings.size)
        self.start = weights_of(self.model)
        self.encoder = TextEncoder(self.model, self.tokenizer)
        self._photographs: dict[str, list[Photograph]] = {}

    def log(self, **line: object) -> None:
        """Show a line of measurements and keep it."""
        text = json.dumps(line)
        print(text, flush=True)
        with (self.folders.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def photographs(self, name: str) -> list[Photograph]:
        """A set, read once."""
        if name not in self._photographs:
            self._photographs[name] = read_set(name, self.folders.data)
        return self._photographs[name]

    # --- features

    @cached_property
    def _forward(self) -> Forward:
        self.model.requires_grad_(False)
        if self._openvino:
            return openvino_forward(self.model, torch.get_num_threads())
        return torch_forward(self.model)

    def features(self, name: str, view: int = 0) -> Features:
        """Of a view of a set; computed by the start's frozen part, which no stage changes."""
        folder = self.folders.out / "features"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / f"{name}-{view}.places.npy").exists():
            compute(self.photographs(name), name, view, self.model, self._forward, folder)
        return Features.load(folder, name, view)

    def views(self, name: str) -> list[Features]:
        """All views of a training set."""
        return [self.features(name, view) for view in range(self.settings.views)]

    def pooled(self, name: str) -> NDArray[np.float16]:
        """(n, 2560) features of the plain view of a set, by the tuned stages as they are now."""
        return pooled(torch_pool(tuned_stages(self.model)), self.features(name))

    @torch.no_grad()
    def vectors(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """(n, D) unit rows of features."""
        rows: NDArray[np.float32] = self.model.project_image(torch.from_numpy(features).float()).numpy()
        return rows

    # --- texts

    @cached_property
    def _captions(self) -> list[str]:
        return read_captions(self.folders.data / "coco_captions.txt")

    @contextmanager
    def _as_start(self) -> Iterator[None]:
        """The start's weights in the model, for the time being."""
        now = weights_of(self.model)
        self.model.load_state_dict(self.start)
        yield
        self.model.load_state_dict(now)

    @cached_property
    def spoken(self) -> Spoken:
        """The texts of the heads' stages."""
        return choose_texts(
            self.photographs("flickr_train"),
            self.photographs("coco_train"),
            self.guessed,
            self._captions,
            self.names,
            self.vocabulary,
            self.tokenizer,
            self._caption_words,
            self._class_labels,
        )

    @cached_property
    def _caption_words(self) -> CaptionWords:
        return caption_words(self.photographs("flickr_train"), self.tokenizer)

    @cached_property
    def guessed(self) -> list[list[Said]]:
        """Pseudo-captions of the labelled photographs, as the start's space has them."""
        path = self.folders.out / "guessed.json"
        if not path.exists():
            with self._as_start():
                images = self.vectors(self.pooled("coco_train"))
                rows = self.encoder.rows(self._captions)
            found = guess_captions(self.photographs("coco_train"), images, self._captions, rows, self.names)
            path.write_text(json.dumps([[text for text, _ in own] for own in found]), encoding="utf-8")
        texts = json.loads(path.read_text(encoding="utf-8"))
        return [[(text, self.names.mentioned(text)) for text in own] for own in texts]

    def unsure(self, probability: float = _UNSURE) -> Tensor:
        """(labelled, names) bool: names that the model believes are there, though no label says so."""
        labels = present(self.photographs("coco_train"), self.names)
        images = torch.from_numpy(self.vectors(self.pooled("coco_train")))
        with torch.no_grad():
            rows = self.encoder.encode([one.label for one in self.names.all])
        scores = NameScores(len(self.names.all))
        scores.fit(images @ rows.T, labels)
        with torch.no_grad():
            return (torch.sigmoid(scores(images @ rows.T)) > probability) & ~labels

    def _start_vectors(self, name: str) -> NDArray[np.float32]:
        """(n, D) the start's rows of the plain view of a set; both parts are equally long."""
        path = self.folders.out / f"begin-{name}.safetensors"
        if not path.exists():
            with self._as_start():
                save_file({"rows": torch.from_numpy(self.vectors(self.pooled(name)))}, path)
        rows: NDArray[np.float32] = load_file(path)["rows"].numpy()
        return rows

    # --- stages

    def run(self) -> None:
        """All stages that are not done."""
        self.begin()
        self.heads()
        self.images()
        self.refitted()

    def begin(self) -> None:
        """Measure the start."""
        if not self._load("begin"):
            self._keep("begin")

    def heads(self) -> None:
        """Text tower's MLP and both projections, on the start's features; the mean of several runs."""
        if self._load("heads"):
            return
        plan, lessons = self.settings.heads, self.lessons()
        self._mean_of_runs(
            "heads",
            plan.runs,
            lambda run, _: train_heads(self.model, lessons, self.names, plan, run, self.log),
        )

    def images(self) -> None:
        """The last image stages, and the learned part of the image projection; the mean of several runs."""
        if self._load("images"):
            return
        plan, unsure = self.settings.images, self.unsure()
        self.log(stage="images", pseudo_labels=int(unsure.sum()))
        scenes = self.scenes(unsure)
        self._mean_of_runs(
            "images",
            len(plan.runs),
            lambda run, path: train_images(self.encoder, scenes, self.names, plan, run, path, self.log),
        )

    def _mean_of_runs(self, stage: str, runs: int, train: Callable[[int, Path], Tensors]) -> None:
        """Let several runs begin where the model is; each is given a file for its checkpoint, and keeps its end."""
        ends = []
        for run in range(runs):
            path = self.folders.out / f"{stage}-{run}.run"
            if not path.exists():
                _write(train(run, path.with_suffix(".checkpoint")), path)
                path.with_suffix(".checkpoint").unlink(missing_ok=True)
            ends.append(load_file(path))
        self.model.load_state_dict(mean_of(ends))
        self._keep(stage)

    def refitted(self) -> None:
        """The heads once more, fitted to where short queries and class photographs belong."""
        if self._load("refitted"):
            return
        plan, bags = self.settings.refit, self._bags()
        features = self._features("refit")
        captioned, labelled = features["flickr_train-0"].float(), features["coco_train-0"].float()
        shown = features["classes-0"][self._class_photographs].float()
        weights = refit_images(
            weights_of(self.model),
            self.start,
            self.model.config.image_parts[0],
            torch.cat([captioned, labelled]),
            shown,
            plan,
        )
        self.model.load_state_dict(weights)
        images = Pictured(
            heads.all_image_rows(self.model, captioned),
            self._caption_words,
            heads.all_image_rows(self.model, labelled),
            present(self.photographs("coco_train"), self.names),
            heads.all_image_rows(self.model, shown),
            [self.photographs("classes")[row].labels[0] for row in self._class_photographs],
        )
        now = heads.all_text_rows(self.model, bags).float()
        with self._as_start():
            rows = Rows(
                {text: row for row, text in enumerate(self.spoken.every())},
                now,
                heads.all_text_rows(self.model, bags).float(),
            )
        wishes = make_wishes(
            self.spoken,
            rows,
            images,
            self.names,
            self.vocabulary,
            self._places,
            [*self._class_labels],
            plan,
        )
        self.model.load_state_dict(fit_texts(self.model, bags, wishes, plan))
        self._keep("refitted")

    def lessons(self) -> Lessons:
        """What the start has of texts and photographs, and where it has them."""
        now, bags = self._features("heads"), self._bags()
        before = space(
            self.model,
            bags,
            now["flickr_train-0"],
            now["coco_train-0"],
            now["classes-0"][self._class_photographs],
        )
        captioned, labelled = (
            [now[f"{name}-{view}"] for view in range(self.settings.views)]
            for name in ("flickr_train", "coco_train")
        )
        labels = present(self.photographs("coco_train"), self.names)
        lessons = Lessons(self.spoken, bags, captioned, labelled, labels, self._places, before)
        texts, meant = zip(*self.spoken.classes, strict=True)
        placed = with_classes_placed(
            before, lessons.at(texts), meant, self._places, self.settings.heads.class_gain
        )
        return replace(lessons, start=placed)

    def _bags(self) -> Tensor:
        """(texts, width) what the MLP is given for each text; the same for all of its weights."""
        return self._once("bags", lambda: {"bags": heads.bags(self.encoder, self.spoken.every())})["bags"]

    @cached_property
    def _places(self) -> Tensor:
        """(classes, D - learned) unit rows: where the fixed part of the image projection has ImageNet's classes."""
        learned = self.model.config.image_parts[0]
        classifier = load_file(self.folders.classifier)["classifier.1.weight"].float()
        fixed = self.start["image_projection.weight"][learned:, -classifier.shape[1] :]
        return torch.nn.functional.normalize((classifier - classifier.mean(0)) @ fixed.T, dim=1)

    @cached_property
    def _class_labels(self) -> dict[str, str]:
        """Every second label of the class photographs, and its Chinese name; the others are measured on."""
        return read_class_labels({label for one in self.photographs("classes") for label in one.labels})

    @cached_property
    def _class_photographs(self) -> list[int]:
        """The photographs that have one of these labels."""
        return [
            row for row, one in enumerate(self.photographs("classes")) if one.labels[0] in self._class_labels
        ]

    def _features(self, stage: str) -> Tensors:
        """Features of the training photographs, by the model as it is when the stage begins."""

        def compute_all() -> Tensors:
            pool = self._pool()
            wanted = [(name, view) for name in _TRAINED for view in range(self.settings.views)]
            return {
                f"{name}-{view}": torch.from_numpy(pooled(pool, self.features(name, view)))
                for name, view in [*wanted, ("classes", 0)]
            }

        return self._once(f"{stage}-features", compute_all)

    def _pool(self) -> Pool:
        stages = tuned_stages(self.model)
        return openvino_pool(stages, torch.get_num_threads()) if self._openvino else torch_pool(stages)

    def _once(self, name: str, make: Callable[[], Tensors]) -> Tensors:
        """Tensors that are made once and kept in the output folder."""
        path = self.folders.out / f"{name}.tensors"
        if not path.exists():
            _write(make(), path)
        tensors: Tensors = load_file(path)
        return tensors

    def scenes(self, unsure: Tensor) -> Scenes:
        """What the image tower learns from, where the model is now; ``unsure`` (labelled, names) bool."""
        learned = self.model.config.image_parts[0]
        classes = self.vocabulary.classes
        weights = load_file(self.folders.classifier)
        with torch.no_grad():
            rows = [
                self.encoder.encode(own)
                for own in ([one.label for one in classes], [one.chinese[0] for one in classes])
            ]
        shown = {}
        for name in ("flickr_train", "coco_train", "classes"):
            views = [self.features(name)] if name == "classes" else self.views(name)
            shown[name] = Shown(self.photographs(name), views, self._start_vectors(name)[:, :learned])
        return Scenes(
            shown["flickr_train"],
            shown["coco_train"],
            shown["classes"],
            self.guessed,
            unsure,
            torch.stack(rows),
            (weights["classifier.1.weight"].float(), weights["classifier.1.bias"].float()),
            self._remembered(),
        )

    def _remembered(self) -> Remembered:
        """Captions and captioned photographs as the model has them now."""
        shown = self.photographs("flickr_train")
        said = [(text, row) for row, one in enumerate(shown) for text in (*one.english, *one.chinese)]
        texts = torch.from_numpy(self.encoder.rows([text for text, _ in said])).half()
        images = torch.from_numpy(self.vectors(self.pooled("flickr_train")))
        return Remembered(self.model.scale().item(), texts, torch.tensor([row for _, row in said]), images)

    # --- files

    def _path(self, stage: str) -> Path:
        return self.folders.out / f"{stage}.safetensors"

    def _load(self, stage: str) -> bool:
        if not self._path(stage).exists():
            return False
        self.model.load_state_dict(load_file(self._path(stage)))
        return True

    def _keep(self, stage: str) -> None:
        _write(weights_of(self.model), self._path(stage))
        self.log(stage=stage, **self.measured())

    def stage_weights(self, stage: str) -> Tensors:
        """What a stage kept."""
        weights: Tensors = load_file(self._path(stage))
        return weights

    # --- figures

    def measured(self) -> dict[str, float]:
        """The four families, of the model as it is, on val and on what is kept out."""
        self.model.requires_grad_(False)
        shown = {
            name: self.vectors(self.pooled(name))
            for name in ("flickr_val", "coco_kept", "coco_mini", "classes")
        }
        encode = self.encoder.rows
        val, mini = self.photographs("flickr_val"), self.photographs("coco_mini")
        found = figures.names_figures(encode, self.names, shown["coco_kept"], self.photographs("coco_kept"))
        found |= figures.caption_figures(encode, "val_en", shown["flickr_val"], [one.english for one in val])
        found |= figures.caption_figures(encode, "val_zh", shown["flickr_val"], [one.chinese for one in val])
        found |= figures.caption_figures(
            encode, "coco_mini", shown["coco_mini"], [one.english for one in mini]
        )
        chosen, photographs = self._one_a_class
        pool = self.vectors(pooled(torch_pool(tuned_stages(self.model)), photographs))
        found |= figures.class_figures(encode, pool, chosen, self.vocabulary)
        return {name: round(value, 2) for name, value in found.items()}

    @cached_property
    def _one_a_class(self) -> tuple[list[int], Features]:
        """One photograph of each ImageNet class of which the kept features' classifier is sure, and those classes."""
        weights = load_file(self.folders.classifier)
        sets = [self.features(name) for name in ("flickr_val", "coco_mini", "classes")]
        kept = np.concatenate([one.kept for one in sets])
        logits = kept.astype(np.float32) @ weights["classifier.1.weight"].float().numpy().T
        logits += weights["classifier.1.bias"].float().numpy()
        before = len(kept) - len(self.photographs("classes"))
        logits[[before + row for row in self._class_photographs]] = 0  # the start was trained on their labels
        chosen = figures.one_a_class(logits)
        places = [one.places for one in sets]
        starts = np.cumsum([0, *map(len, places)])
        found = []
        for row in chosen.values():
            place = int(np.searchsorted(starts, row, "right")) - 1
            found.append(places[place][row - starts[place]])
        return list(chosen), Features(np.stack(found), kept[list(chosen.values())])


def _write(tensors: Tensors, path: Path) -> None:
    """Write a file of tensors whole or not at all."""
    new = path.with_suffix(f".{os.getpid()}.new")
    save_file({name: value.contiguous() for name, value in tensors.items()}, new)
    new.replace(path)
