"""Loss, optimizers, schedules and the learning-rate finder."""

import math

import fake_device
import numpy as np
import pytest
import torch
from torch import nn

from src.data.folders import UNKNOWN
from src.models.pretrained import build_transfer
from src.training.optimization import (
    LandmarkLoss,
    find_learning_rate,
    get_optimizer,
    get_schedule,
    parameter_groups,
    plot_learning_rates,
)


def test_label_smoothing_by_hand():
    logits = torch.tensor([[2.0, 0.0, 0.0]])
    log_p = logits.log_softmax(1)[0]
    expected = -(0.9 * log_p[0] + 0.1 * log_p.mean())
    assert LandmarkLoss(0.1)(logits, torch.tensor([0])) == pytest.approx(expected.item())


def written_out(logits, targets):
    """The cross entropy of logits (N, C) against probabilities of these classes and the background."""
    exponents = np.exp(np.column_stack([logits, np.zeros(len(logits))]))
    return -(targets * np.log(exponents / exponents.sum(1, keepdims=True))).sum(1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_photos_of_no_landmark_are_one_more_class_whose_logit_is_zero(smoothing):
    logits = np.random.default_rng(0).normal(size=(4, 3)) * 3
    labels = [1, UNKNOWN, 0, UNKNOWN]
    targets = (1 - smoothing) * np.eye(4)[[1, 3, 0, 3]] + smoothing / 4
    loss = LandmarkLoss(smoothing, background=True)
    expected = written_out(logits, targets)
    assert loss(torch.tensor(logits), torch.tensor(labels)).item() == pytest.approx(expected)
    assert loss(torch.tensor(logits), torch.tensor([1, 3, 0, 3])).item() == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_mixed_targets_the_last_column_is_the_background(smoothing):
    chance = np.random.default_rng(0)
    logits, targets = chance.normal(size=(4, 3)) * 3, chance.dirichlet(np.ones(4), 4)
    expected = written_out(logits, (1 - smoothing) * targets + smoothing / 4)
    found = LandmarkLoss(smoothing, background=True)(torch.tensor(logits), torch.tensor(targets))
    assert found.item() == pytest.approx(expected)


def test_an_unknown_photo_pushes_all_logits_down_and_a_landmark_pushes_its_own_up():
    logits = torch.zeros(2, 3, requires_grad=True)
    LandmarkLoss(background=True)(logits, torch.tensor([UNKNOWN, 2])).backward()
    assert (logits.grad[0] > 0).all()
    assert (logits.grad[1] > 0).tolist() == [True, True, False]
    assert logits.grad[1].sum() < 0, "it is pushed away from the background, too"


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("sgd", {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True}),
        ("sgd", {"momentum": 0.0}, {"momentum": 0.0, "nesterov": False}),
        ("adam", {"betas": (0.8, 0.95)}, {"betas": (0.8, 0.95)}),
        ("adamw", {"betas": (0.8, 0.95)}, {"betas": (0.8, 0.95)}),
    ],
)
def test_every_argument_is_honoured(name, given, kept):
    optimizer = get_optimizer(nn.Linear(2, 2).parameters(), name, lr=0.03, weight_decay=0.02, **given)
    group = optimizer.param_groups[0]
    assert type(optimizer).__name__.lower() == name
    assert (group["lr"], group["weight_decay"]) == (0.03, 0.02)
    assert {key: group[key] for key in kept} == kept


def test_unknown_names_are_errors():
    parameters = list(nn.Linear(2, 2).parameters())
    with pytest.raises(ValueError, match="sgd, adam, adamw"):
        get_optimizer(parameters, "adamax")
    with pytest.raises(ValueError, match="cosine"):
        get_schedule("step", torch.optim.SGD(parameters, 0.1), epochs=1, steps_per_epoch=1)


def test_norms_and_biases_do_not_decay_and_rates_fall_towards_the_picture():
    model = build_transfer("resnet18", 4, weights=None)
    groups = parameter_groups(model, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    counted = sum(len(g["params"]) for g in groups)
    assert counted == len(list(model.parameters()))
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert all(decay[id(p)] == (0.1 if p.ndim > 1 else 0) for p in model.parameters())
    assert rate[id(model.head.weight)] == 1.0
    assert rate[id(model.backbone.layer4[1].conv1.weight)] == 0.5
    assert rate[id(model.backbone.layer4[0].conv1.weight)] == 0.25
    assert rate[id(model.backbone.conv1.weight)] == 0.5**10


def test_rates_of_layers_that_a_network_does_not_have_are_an_error():
    with pytest.raises(ValueError, match=r"layer_decay=0\.5 needs"):
        parameter_groups(nn.Linear(2, 2), lr=1.0, weight_decay=0.1, layer_decay=0.5)


def test_tokens_outside_every_block_count_as_the_deepest():
    model = build_transfer("vit_b_32", 4, weights=None)
    groups = parameter_groups(model, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    assert rate[id(model.backbone.class_token)] == 0.5 ** len(model.layers)


def test_frozen_parameters_are_left_out():
    model = build_transfer("resnet18", 4, weights=None)
    model.freeze()
    groups = parameter_groups(model, lr=1.0, weight_decay=0.1)
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in model.head.parameters()}
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="unfreeze"):
        parameter_groups(model, lr=1.0, weight_decay=0.1)


def rates(name, epochs=4, steps=10, warmup=1.0):
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), 1.0)
    schedule = get_schedule(name, optimizer, epochs=epochs, steps_per_epoch=steps, warmup_epochs=warmup)
    seen = []
    for _ in range(epochs * steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_cosine_warms_up_and_ends_near_zero():
    seen = rates("cosine")
    assert seen[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert seen[10] == 1.0
    assert seen[25] == pytest.approx(0.5)  # half way down
    assert 0 < seen[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 29 / 30)))


@pytest.mark.parametrize("warmup", [0.5, 1.0, 3.0])
def test_one_cycle_rises_for_as_long_as_it_warms_up_and_falls(warmup):
    seen = rates("onecycle", warmup=warmup)
    assert max(seen) == pytest.approx(1.0)
    assert seen.index(max(seen)) == 10 * warmup - 1  # with the last step of the warm-up
    assert seen[0] < 0.1
    assert seen[-1] < 0.01


def test_one_cycle_without_warm_up_only_falls():
    seen = rates("onecycle", warmup=0.0)
    assert seen[0] == pytest.approx(1.0, abs=0.01)
    assert seen == sorted(seen, reverse=True)


def test_plateau_waits_for_the_loss():
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), 1.0)
    schedule = get_schedule("plateau", optimizer, epochs=20, steps_per_epoch=1)
    for loss in [1.0] + [2.0] * 6:
        schedule.step(loss)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_plateau_with_a_warm_up_is_an_error():
    with pytest.raises(ValueError, match="set warmup_epochs to 0"):
        rates("plateau", warmup=1.0)


def test_finder_takes_the_accelerator_for_a_copy(monkeypatch):
    monkeypatch.setattr("src.training.optimization.choose_device", lambda: fake_device.DEVICE)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    used = []
    with fake_device.accelerator():
        model[1].register_forward_hook(lambda module, x, y: used.append(y.device))
        loader = [(torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]))]
        find_learning_rate(model, loader, LandmarkLoss(), optimizer="sgd", steps=3)
        assert set(used) == {fake_device.DEVICE}
        assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_finder_suggests_a_rate_that_trains_and_leaves_the_model_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    before = [p.clone() for p in model.parameters()]
    x = torch.randn(64, 3, 2, 2)
    loader = [(part, (part.flatten(1)[:, 0] > 0).long()) for part in x.split(16)]
    table, rate = find_learning_rate(model, loader, LandmarkLoss(), optimizer="sgd", highest=100.0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert 1e-4 < rate < 100 and table.lr.is_monotonic_increasing
    optimizer = get_optimizer(model.parameters(), "sgd", lr=rate)
    first = sum(LandmarkLoss()(model(a), b).item() for a, b in loader)
    for _ in range(20):
        for a, b in loader:
            optimizer.zero_grad()
            LandmarkLoss()(model(a), b).backward()
            optimizer.step()
    assert sum(LandmarkLoss()(model(a), b).item() for a, b in loader) < 0.5 * first
    assert plot_learning_rates(table, rate).axes[0].get_xscale() == "log"
