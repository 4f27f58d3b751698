"""The network from scratch, and the further views that a network may take of a picture."""

import fake_device
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import NEVER, TTA, Views, seen_again, unsure

SMALL = NetSettings(widths=(8, 16), depths=(1, 2))


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (33, 77)])
def test_any_picture_size_gives_logits(size):
    net = LandmarkNet(7, SMALL).eval()
    assert net(torch.rand(2, 3, *size)).shape == (2, 7)
    assert net.features(torch.rand(2, 3, *size)).shape == (2, 16)


def test_every_parameter_gets_a_gradient():
    net = LandmarkNet(5, NetSettings(widths=(8, 16), depths=(1, 2), drop_path=0.0))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01)  # blocks begin as their shortcut, where some gradients are zero
    net(torch.rand(4, 3, 48, 48)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_loss_falls_on_one_batch():
    torch.manual_seed(0)
    net = LandmarkNet(3, NetSettings(widths=(8, 16), depths=(1, 1), dropout=0.0, drop_path=0.0))
    x, y = torch.rand(12, 3, 32, 32), torch.arange(12) % 3
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]


def test_stochastic_depth_and_dropout_only_in_training():
    net = LandmarkNet(5, NetSettings(widths=(8, 16), depths=(2, 2), drop_path=0.5))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    x = torch.rand(4, 3, 32, 32)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize("wrong", [{"widths": (8,)}, {"widths": (), "depths": ()}, {"dropout": 1.0}])
def test_impossible_settings_are_errors(wrong):
    with pytest.raises(ValueError, match="must be"):
        NetSettings(**wrong)


def test_committed_size_fits_a_cpu():
    assert sum(p.numel() for p in LandmarkNet(50).parameters()) < 7e6  # under 30 MB as float32


def test_summary_counts_every_parameter():
    net = LandmarkNet(7, SMALL)
    rows = net.summary(64)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in net.parameters())
    assert rows[0]["output"] == (8, 32, 32)
    assert rows[-1]["output"] == (7,)
    assert net.training


def test_networks_work_on_an_accelerator():
    with fake_device.accelerator():
        net = LandmarkNet(7, SMALL).to(fake_device.DEVICE).eval()
        assert net.summary(64)[-1]["output"] == (7,)
        with torch.inference_mode():
            assert TTA(net)(torch.rand(2, 3, 32, 32).to(fake_device.DEVICE)).cpu().shape == (2, 7)


def test_a_mirrored_network_answers_alike_for_a_picture_and_its_mirror_image():
    torch.manual_seed(0)
    net = LandmarkNet(4, SMALL).eval()
    x = torch.rand(2, 3, 64, 48)
    with torch.inference_mode():
        twice = TTA(net).eval()
        assert torch.allclose(twice(x), twice(x.flip(3)), atol=1e-5)
        assert torch.allclose(twice(x), (net(x) + net(x.flip(3))) / 2, atol=1e-5)
        features, maps = twice.features_and_maps(x)
        assert torch.allclose(maps.mean((2, 3)), features, atol=1e-5)
        assert torch.allclose(twice.features_and_maps(x.flip(3))[1], maps.flip(3), atol=1e-5)
    assert twice.architecture["views"] == {"again": (0.0, 2.0), "side": 0, "background": False}


def test_only_unsure_pictures_are_looked_at_again():
    torch.manual_seed(0)
    net = LandmarkNet(4, SMALL).eval()
    x = 10 * torch.rand(6, 3, 64, 48) * torch.rand(6, 3, 1, 1)
    with torch.inference_mode():
        expected = net(x)
        highest = expected.softmax(1).amax(1)
        ranks = highest.sort().values
        low, high = ranks[:2].mean().item(), ranks[3:5].mean().item()
        again = (highest > low) & (highest < high)
        assert again.sum() == 3
        expected[again] = (expected[again] + net(x[again].flip(3))) / 2
        twice = TTA(net, Views((low, high))).eval()
        assert torch.allclose(twice(x), expected, atol=1e-5)
        assert torch.allclose(torch.cat([twice(one[None]) for one in x]), expected, atol=1e-5)
        assert torch.equal(TTA(net, NEVER).eval()(x), net(x))


def blurred_to(x, side):
    small = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    return F.interpolate(small, x.shape[2:], mode="bilinear", antialias=True)


def test_a_blurred_view_may_join_the_mirror_image():
    torch.manual_seed(0)
    net = LandmarkNet(4, SMALL).eval()
    x = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        thrice = TTA(net, Views(side=24)).eval()
        views = [net.features_and_maps(view) for view in (x, x.flip(3), blurred_to(x, 24))]
        features, maps = (torch.stack(parts) for parts in zip(*views, strict=True))
        maps[1] = maps[1].flip(3)
        found = thrice.features_and_maps(x)
        assert torch.allclose(found[0], features.mean(0), atol=1e-5)
        assert torch.allclose(found[1], maps.mean(0), atol=1e-5)
        assert torch.allclose(thrice(x), net.head(features.mean(0)), atol=1e-5)
        assert (thrice(x) - TTA(net).eval()(x)).abs().max() > 1e-3


def test_every_unsure_picture_is_averaged_with_its_own_views():
    torch.manual_seed(0)
    net = LandmarkNet(4, SMALL).eval()
    x = 10 * torch.rand(6, 3, 64, 64) * torch.rand(6, 3, 1, 1)
    with torch.inference_mode():
        ranks = net(x).softmax(1).amax(1).sort().values
        thrice = TTA(net, Views((ranks[:2].mean().item(), ranks[3:5].mean().item()), 24)).eval()
        expected = torch.cat([thrice(one[None]) for one in x])
        assert torch.allclose(thrice(x), expected, atol=1e-5)
        assert ((expected - net(x)).abs().amax(1) > 1e-4).sum() == 3


def test_a_blurred_view_has_the_size_and_brightness_of_the_picture_and_no_fine_stripes():
    stripes = torch.tensor([0.0, 1.0]).repeat(2, 3, 64, 32)
    views = seen_again(stripes, 16)
    mirrored, blurred = views.split(2)
    assert torch.equal(mirrored, stripes.flip(3))
    assert blurred.shape == stripes.shape
    assert blurred.std() < 0.02 < stripes.std()
    assert blurred.mean() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(seen_again(stripes, 0), mirrored)


def test_a_picture_of_nothing_known_is_not_unsure_where_the_background_counts():
    # sure of a class; between two classes; between a class and the background; of the background
    logits = torch.tensor([[9.0, 0.0, -9.0], [6.0, 6.0, -9.0], [0.0, -9.0, -9.0], [-6.0, -6.0, -6.0]])
    with_zero = np.exp(np.column_stack([logits, np.zeros(4)]))
    highest = (with_zero / with_zero.sum(1, keepdims=True))[:, :3].max(1)
    assert highest == pytest.approx([1, 0.5, 0.5, 0], abs=0.01)
    assert unsure(logits, (0.15, 0.7), True).tolist() == [1, 2]
    assert unsure(logits, (0.15, 0.7), False).tolist() == [1, 3]


def test_the_background_decides_which_pictures_are_looked_at_again():
    torch.manual_seed(0)
    net = LandmarkNet(4, SMALL).eval()
    x = torch.rand(6, 3, 64, 64)
    with torch.inference_mode():
        net.head.bias.fill_(-6.0)  # nothing looks like a landmark
        for background in (True, False):
            twice = TTA(net, Views((0.15, 1.0), background=background)).eval()
            assert torch.equal(twice(x), net(x)) == background
