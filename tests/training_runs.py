"""What the tests of training share: settings for a run of seconds, and such a run."""

import pytest
import torch

from src.data.folders import load_pictures
from src.models.scratch import LandmarkNet, NetSettings
from src.training.loop import fit
from src.training.recipes import TrainSettings

NET = NetSettings(widths=(8, 16), depths=(1, 1))
QUICK = TrainSettings(
    epochs=2, sizes=(32,), eval_size=32, batch_size=8, lr=1e-2, ema=0.9, cutmix=1.0, mixup=0.2
)


@pytest.fixture
def little_pictures(data_set, tmp_path):
    """The loaders of the tiny data set, of pictures of 32 pixels."""
    return load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")


@pytest.fixture
def little_network():
    """A network for them that nothing has trained."""
    torch.manual_seed(0)
    return LandmarkNet(3, NET).eval()


def train(data_set, folder, settings=QUICK, **options):
    pictures = load_pictures(
        data_set, sizes=settings.sizes, epochs=settings.epochs, batch_size=settings.batch_size, workers=0,
        cache=folder.parent / "cache",
    )  # fmt: skip
    torch.manual_seed(settings.seed)
    model = LandmarkNet(3, NET)
    return model, fit(model, pictures, settings, folder, **options)
