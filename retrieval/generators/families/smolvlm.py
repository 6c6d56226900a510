"""SmolVLM (Marafioti et al. 2025, arXiv 2504.05299; ``transformers/models/smolvlm``) and Idefics3, which it began as.

Images: the longer side to 2,048 pixels (or what the checkpoint says), Lanczos, cut into squares of 512 and given once
more whole (``SmolVLMImageProcessor``, ``Idefics3ImageProcessor``). Each square stands as some tokens between marks of
its row and column. A conversation is ``<|im_start|>User:``, the image, the words, ``<end_of_utterance>``, and
``Assistant:`` (the chat template of the published checkpoints). Decoding is greedy, as on the models' cards, at most
128 tokens. For a caption it is asked what the cards ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError
from retrieval.generators.families.chat import LONGEST_PROMPT, MOST_TOKENS, chat
from retrieval.generators.families.family import Asked, Family
from retrieval.generators.families.looking import LONGEST, Looking, colours
from retrieval.hub.config_limits import AGAIN, whole_number

if TYPE_CHECKING:
    from retrieval.hub.checkpoint import Checkpoint

DESCRIBE = "Can you describe this image?"
END = "<end_of_utterance>"
_AROUND, _IMAGE, _WHOLE = "<fake_token_around_image>", "<image>", "<global-img>"
_HALF = [0.5, 0.5, 0.5]
_LANCZOS = 1


def _look(name: str) -> Any:
    def look(checkpoint: Checkpoint) -> Looking:
        import transformers

        config, place = checkpoint.image_config, str(checkpoint.folder)
        settings = {
            "size": {"longest_edge": _edge(config.get("size"), 4 * 364, place)},
            "max_image_size": {"longest_edge": _edge(config.get("max_image_size"), 364, place)},
            "resample": _LANCZOS,
            "do_image_splitting": config.get("do_image_splitting") is not False,
            **colours(checkpoint, _HALF, _HALF),
        }
        if settings["size"]["longest_edge"] > 8 * settings["max_image_size"]["longest_edge"]:
            raise ModelError(f"{place}: its image processor cuts images into more than 64 parts; {AGAIN}")
        processor = getattr(transformers, name)(**settings, return_row_col_info=True)
        return Looking(processor, settings)

    return look


def _edge(value: Any, default: int, place: str) -> int:
    """Read a longest edge."""
    edge = value.get("longest_edge") if isinstance(value, dict) else default
    return whole_number(edge, "longest_edge", place, 32, LONGEST)


def _begin(asked: Asked, words: str) -> tuple[list[int], dict[str, Any]]:
    more = asked.more
    asked.words.token_id("<|im_start|>")  # Idefics3-8B begins its conversations otherwise, and is refused
    picture = _picture(asked.model.config, more["rows"][0][0], more["cols"][0][0])
    text = f"<|im_start|>User:{picture}{words}{END}\nAssistant:"
    inputs = {"pixel_values": asked.pixels, "pixel_attention_mask": more["pixel_attention_mask"]}
    return asked.words.encode(text, LONGEST_PROMPT), inputs


def _picture(config: Any, rows: int, columns: int) -> str:
    """Write what stands for an image in so many rows and columns of squares; 0 of both where it is one."""
    vision = config.vision_config
    tokens = _IMAGE * int((vision.image_size // vision.patch_size) ** 2 / config.scale_factor**2)
    squares = "".join(
        "".join(f"{_AROUND}<row_{row}_col_{column}>{tokens}" for column in range(1, columns + 1)) + "\n"
        for row in range(1, rows + 1)
    )
    before = f"{squares}\n" if squares else ""
    return f"{before}{_AROUND}{_WHOLE}{tokens}{_AROUND}"


_describe, _reply, _weigh = chat(_begin, DESCRIBE, END, " ")


def _family(name: str, architecture: str, processor: str) -> Family:
    return Family(
        name=name,
        architecture=architecture,
        processor=processor,
        settings={"describe": DESCRIBE, "most": MOST_TOKENS},
        special_ids=lambda checkpoint: {},
        describe=_describe,
        reply=_reply,
        weigh=_weigh,
        look=_look(f"{processor}Pil"),
    )


SMOLVLM = _family("smolvlm", "SmolVLMForConditionalGeneration", "SmolVLMImageProcessor")
IDEFICS3 = _family("idefics3", "Idefics3ForConditionalGeneration", "Idefics3ImageProcessor")
