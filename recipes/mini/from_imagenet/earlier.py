"""An earlier mini to go on from: its text tower, its class part, and its fine-tuned stages as members of the mean.

A text tower gains from every opinion that it learned. The new opinion's space is another one than the earlier, so it is
turned to where the tower has its captions already. Hence, too, the weights halfway between both models are a model, and
a better one than either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from recipes.mini.from_imagenet.checkpoint import Tensors
from recipes.mini.from_imagenet.materials import Taught
from recipes.mini.from_imagenet.opine import Told
from recipes.mini.from_imagenet.opinion import unit
from recipes.mini.from_imagenet.student import LEARNED, Student
from retrieval.encoders.two_tower.backbones import fold_norms
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.folder import module_state
from retrieval.encoders.two_tower.model import TwoTowerModel

_STAGES = "towers.image.features."


@dataclass(frozen=True)
class Earlier:
    """A released model's weights by the student's names, batch norms folded.

    Attributes:
        runs: as how many runs of fine-tuning its stages count in the mean with new ones.
        class_share: what was left of the class part in texts (see ``Student.shrink_class_part``).
    """

    weights: Tensors
    runs: int
    class_share: float

    @classmethod
    def load(cls, folder: Path, runs: int, class_share: float) -> Earlier:
        """From a model folder."""
        model = TwoTowerModel(TwoTowerConfig.load(folder / "config.json"))
        model.load_state_dict(module_state(load_file(folder / "model.safetensors")))
        fold_norms(model.image.eval())
        state = {f"towers.{name}": value for name, value in model.state_dict().items()}
        return cls(state, runs, class_share)

    def lend(self, student: Student, taught: Taught) -> None:
        """Its text tower, projections and temperature; and a head to the first teacher, fitted to what it says."""
        own = {name: value for name, value in self._whole().items() if not name.startswith("towers.image.")}
        student.load_state_dict(own, strict=False)
        _fit_head(student, taught)

    def join(self, student: Student, runs: int) -> None:
        """Its stages into the mean of ``runs`` others, which the student has."""
        share = self.runs / (self.runs + runs)
        with torch.no_grad():
            for name, value in student.named_parameters():
                if value.requires_grad and name.startswith(_STAGES):
                    value.lerp_(self.weights[name], share)

    @torch.no_grad()
    def meet(self, student: Student) -> None:
        """The student becomes the mean of both (WiSE-FT: Wortsman et al., CVPR 2022), class part and all.

        But for where pictures' class part is centred, which depends on the student's size of pictures.
        """
        centre = student.towers.image_projection.bias[LEARNED:].clone()
        own = self._whole()
        for name, value in student.named_parameters():
            if name in own:
                value.lerp_(own[name], 0.5)
        student.towers.image_projection.bias[LEARNED:] = centre

    def _whole(self) -> Tensors:
        """Copies of its weights, the class part in texts as it was before it was made smaller."""
        own = {name: value.clone() for name, value in self.weights.items()}
        for field in ("weight", "bias"):
            own[f"towers.text_projection.{field}"][LEARNED:] /= self.class_share
        return own


@torch.no_grad()
def turn(student: Student, told: Told, most: int = 20_000) -> None:
    """Turn the kept directions so that captions lie as near as may be to where the text tower has them.

    The orthogonal Procrustes problem (Schönemann, Psychometrika 1966).
    """
    rows = torch.arange(0, len(told.texts), len(told.texts) // most + 1)
    said = told.vectors[rows] @ student.opinions.directions.T
    has = _encode(student, [told.texts[row] for row in rows.tolist()])[:, :LEARNED]
    left, _, right = torch.linalg.svd(unit(said, dim=1).T @ unit(has, dim=1))
    rotation = (left @ right).T
    layer = student.towers.image_projection
    for own in (student.opinions.directions, layer.weight[:LEARNED], layer.bias[:LEARNED]):
        own.copy_(rotation @ own)


@torch.no_grad()
def _fit_head(student: Student, taught: Taught, most: int = 20_000) -> None:
    """Least squares, with a ridge of a thousandth of the features' mean square."""
    rows = range(0, len(taught.texts), len(taught.texts) // most + 1)
    texts = [taught.texts[row] for row in rows]
    features = torch.cat([student.text_features(texts[i : i + 512]) for i in range(0, len(texts), 512)])
    wide = torch.cat([features, torch.ones(len(features), 1)], 1)
    square = wide.T @ wide
    square += 1e-3 * square.diagonal().mean() * torch.eye(len(square))
    solution = torch.linalg.solve(square, wide.T @ taught.first[list(rows)])
    student.to_teacher.weight.copy_(solution[:-1].T)
    student.to_teacher.bias.copy_(solution[-1])


def _encode(student: Student, texts: list[str]) -> Tensor:
    return torch.cat([student.encode_texts(texts[i : i + 512]) for i in range(0, len(texts), 512)])
