"""One epoch of training: its figures, what is mixed, and how often it waits for an accelerator."""

import dataclasses
import io

import fake_device
import pytest
import torch
from tqdm import tqdm
from training_runs import NET, QUICK

from src.data.folders import UNKNOWN
from src.models.scratch import LandmarkNet
from src.training.loop import SHOWN_EVERY, mixing, train_one_epoch, unmixed, validate
from src.training.optimization import LandmarkLoss, MovingAverage, get_schedule


class Echo(torch.nn.Module):
    """The picture is its own two logits, which training leaves as they are."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x[:, :2, 0, 0] + self.shift


def trained_by_echo(pictures, labels, mix=unmixed):
    model, loss = Echo(), LandmarkLoss(background=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    return train_one_epoch(model, [(pictures, labels)], loss, optimizer, torch.device("cpu"), mix=mix)


def test_unknown_photos_count_in_the_loss_and_not_in_the_accuracy():
    pictures = torch.zeros(4, 3, 1, 1)
    pictures[:, 0] = 3.0  # says class 0
    result = trained_by_echo(pictures, torch.tensor([0, 1, 0, UNKNOWN]))
    assert result["accuracy"] == pytest.approx(2 / 3)
    first, second, background = torch.tensor([3.0, 0.0, 0.0]).log_softmax(0).neg().tolist()
    assert result["loss"] == pytest.approx((2 * first + second + background) / 4)


def test_of_mixed_photos_those_that_are_mostly_unknown_do_not_count_in_the_accuracy():
    targets = torch.tensor([[0.7, 0.0, 0.3], [0.1, 0.6, 0.3], [0.4, 0.0, 0.6], [0.0, 0.0, 1.0]])
    pictures = torch.zeros(4, 3, 1, 1)
    pictures[:, 0] = 3.0
    result = trained_by_echo(pictures, torch.zeros(4, dtype=torch.int64), lambda x, y: (x, targets))
    assert result["accuracy"] == pytest.approx(1 / 2)


def test_figures_are_means_over_pictures_with_a_short_last_batch():
    x = torch.zeros(3, 3, 1, 1)
    x[:, 0] = 5.0  # says class 0
    loader = [(x[:2], torch.tensor([0, 0])), (x[2:], torch.tensor([1]))]
    result = validate(Echo(), loader, torch.nn.CrossEntropyLoss(), torch.device("cpu"))
    assert result["accuracy"] == pytest.approx(2 / 3)
    right, wrong = torch.tensor([5.0, 0.0]).log_softmax(0).neg().tolist()
    assert result["loss"] == pytest.approx((2 * right + wrong) / 3)


def test_the_average_follows_at_once_and_then_slowly():
    model = torch.nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, 0.9)
    for value in (0.0, 1.0):
        torch.nn.init.constant_(model.weight, value)
        average.update(model)
    assert average.module.weight.item() == pytest.approx(1 - 2 / 11)


@pytest.mark.parametrize("shown", [False, True])
def test_an_epoch_hardly_ever_waits_for_the_accelerator(shown):
    torch.manual_seed(0)
    batches, device = 2 * SHOWN_EVERY + 5, fake_device.DEVICE
    loader = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, -1])) for _ in range(batches)]
    with fake_device.accelerator() as waits:
        network = LandmarkNet(3, NET).to(device)
        optimizer = torch.optim.SGD(network.parameters(), 0.01)
        schedule = get_schedule("cosine", optimizer, epochs=1, steps_per_epoch=batches)
        average = MovingAverage(network, 0.9)
        waits.clear()
        with tqdm(total=4 * batches, file=io.StringIO(), disable=not shown) as bar:
            result = train_one_epoch(
                network, loader, LandmarkLoss(background=True), optimizer, device, schedule=schedule,
                average=average, clip=1.0, bar=bar,
            )  # fmt: skip
        assert len(waits) == (4 if shown else 1)  # each time for all the figures since the last one
        assert bar.n == (4 * batches if shown else 0)
        assert result["loss"] > 0 and 0 <= result["accuracy"] <= 1
        waits.clear()
        validate(average.module, [(x, y.clamp(min=0)) for x, y in loader], LandmarkLoss(), device)
        assert len(waits) == 1


@pytest.mark.parametrize("kind", [{"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
@pytest.mark.parametrize("background", [False, True])
def test_mixed_labels_are_probabilities(background, kind):
    torch.manual_seed(0)
    mix = mixing(dataclasses.replace(QUICK, **kind), 3, background=background)
    labels = torch.tensor([0, 1, 2, UNKNOWN if background else 0])
    classes = torch.tensor([0, 1, 2, 3 if background else 0])  # the background is the last one
    alone, together = [], []
    for _ in range(20):
        _, y = mix(torch.rand(4, 3, 8, 8), labels)
        (together if y.ndim > 1 else alone).append(y)
    assert alone and all(torch.equal(y, classes) for y in alone)
    for y in together:
        assert y.shape == (4, 4 if background else 3)
        share = y[torch.arange(4), classes]
        first = torch.nn.functional.one_hot(classes, y.shape[1])
        mixed = y - share.amin() * first  # with one share each is mixed with the picture before it
        torch.testing.assert_close(mixed, (1 - share.amin()) * first.roll(1, 0).float())
    assert together


def test_labels_stay_as_they_are_where_nothing_is_mixed():
    mix = mixing(dataclasses.replace(QUICK, mixup=0.0, cutmix=0.0), 3, background=True)
    x, y = torch.rand(2, 3, 8, 8), torch.tensor([UNKNOWN, 2])
    assert all(a is b for a, b in zip(mix(x, y), (x, y), strict=True))
