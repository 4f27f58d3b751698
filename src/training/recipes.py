"""The settings of a training, and the two recipes that the committed networks were trained by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_type_hints

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "onecycle", "plateau", "constant")
NO_WARMUP = "The schedule 'plateau' does not warm up: set warmup_epochs to 0."


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained. An unknown, ill-typed or impossible setting is an error.

    Attributes:
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        sizes: picture sides in pixels, the run divided evenly among them.
        eval_size: side of the pictures in evaluation and in the export, pixels.
        zoom: smallest share of the picture's area that a random crop keeps.
        low_resolution: share of the pictures that are blurred by shrinking them, see `LowResolution`.
        strong: TrivialAugment and random erasing instead of mild rotation and colour.
        optimizer, lr, weight_decay, schedule, warmup_epochs, label_smoothing: see `optimization`.
        layer_decay: factor between the rates of neighbouring blocks, 1 for one rate.
        mixup, cutmix: parameters α of the beta distribution (arXiv:1710.09412, arXiv:1905.04899), 0
            for off; where any is on, one of them or neither is drawn for each batch.
        ema: decay of the moving average of the weights that is validated and kept, 0 for off.
        clip: largest norm of the gradient, 0 for no limit.
        patience: stop after so many epochs without a better validation accuracy, 0 for never.
        seed: of weights, order and augmentation.
    """

    epochs: int = 100
    batch_size: int = 32
    sizes: tuple[int, ...] = (128,)
    eval_size: int = 128
    zoom: float = 0.35
    low_resolution: float = 0.0
    strong: bool = True
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    layer_decay: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    clip: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            kinds: Any = {float: (float, int), tuple[int, ...]: tuple}.get(kind, kind)
            if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{name}={value!r} must be of type {getattr(kind, '__name__', kind)}.")
            if kind in (int, float) and value < 0:
                raise ValueError(f"{name}={value!r} must not be negative.")
        if self.optimizer not in OPTIMIZERS or self.schedule not in SCHEDULES:
            raise ValueError(f"optimizer is one of {OPTIMIZERS} and schedule one of {SCHEDULES}.")
        if not (self.epochs and self.batch_size and self.sizes and min(*self.sizes, self.eval_size) >= 32):
            raise ValueError("epochs and batch_size must be at least 1, picture sizes at least 32.")
        if not (0 < self.zoom <= 1 and self.ema < 1 and self.label_smoothing < 1):
            raise ValueError("zoom must be in (0, 1], ema and label_smoothing in [0, 1).")
        if not self.low_resolution <= 1:
            raise ValueError("low_resolution must be in [0, 1].")
        if self.schedule == "plateau" and self.warmup_epochs:
            raise ValueError(NO_WARMUP)


@dataclass(frozen=True)
class Recipe:
    """The settings of the phases of a training; the best weights of each begin the next.

    ``unfrozen`` says which share of the blocks of a pretrained backbone, the last ones, trains in each phase;
    where it says nothing all do.
    ``again``, ``blurred_side``: see `src.models.tta.Views`.
    ``coverage``: share of the validation pictures that are answered at least, see
    `src.evaluation.calibration.choose_threshold`.
    ``valid_fraction``: share of the training pictures kept for validation, the same ones in all phases;
    ``split_seed`` decides which.
    """

    phases: dict[str, TrainSettings]
    unfrozen: dict[str, float] = field(default_factory=dict)
    again: tuple[float, float] = (0.0, 0.0)
    blurred_side: int = 0
    coverage: float = 0.9
    valid_fraction: float = 0.15
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError("valid_fraction must be in (0, 1).")
        if not self.phases or not self.unfrozen.keys() <= self.phases.keys():
            raise ValueError("A recipe needs a phase, and unfrozen blocks are of its phases.")
        if not all(0 <= share <= 1 for share in self.unfrozen.values()):
            raise ValueError("unfrozen must be shares, in [0, 1].")


RECIPES = {
    "scratch": Recipe(
        {
            "train": TrainSettings(
                epochs=64,
                sizes=(80, 96, 96, 128, 128),  # most of the run at small sizes: it costs with the square
                eval_size=160,
                low_resolution=0.5,
                optimizer="sgd",  # AdamW ends lower: "Tried and not kept" in benchmarks/RESULTS.md
                lr=0.05,
                weight_decay=1e-3,
                warmup_epochs=2.0,
                mixup=0.2,
                cutmix=1.0,
                ema=0.998,
            ),
        },
        # of probabilities before the temperature; chosen by the log loss on validation photos
        again=(0.1, 0.85),
        coverage=0.85,  # it is less sure: of more answers too few would be right
        # every picture counts where nothing else is known; enough remain for the calibration
        valid_fraction=0.08,
    ),
    "transfer": Recipe(
        {
            "head": TrainSettings(
                epochs=1,
                sizes=(160,),
                eval_size=224,
                zoom=0.5,
                low_resolution=0.5,
                strong=False,
                lr=5e-3,
                warmup_epochs=0.0,
            ),
            "finetune": TrainSettings(
                epochs=20,
                sizes=(128, 160, 160, 192, 224),
                eval_size=224,
                low_resolution=0.5,
                layer_decay=0.9,
                ema=0.998,
            ),
        },
        # the first blocks know edges and colours already, and take half of the time to train
        unfrozen={"head": 0.0, "finetune": 0.65},
        # with two networks one validation photo in seven, and one in ten of no landmark; as accurate as all
        # of them. So 7 points more of the sharp photos of landmarks known from small pictures are right
        again=(0.1, 0.5),
        blurred_side=64,
        valid_fraction=0.1,
    ),
}
