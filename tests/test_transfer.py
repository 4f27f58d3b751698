"""Pretrained networks: heads found in every family, frozen means frozen, weights checked."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from src.evaluation.linear_probe import cross_validated, linear_probe
from src.models.pretrained import PACKAGED, WeightsError, available_backbones, build_transfer

# one of each family of torchvision, the smallest, and a few of timm's
FAMILIES = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 64,
    "inception_v3": 96,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_0": 64,
    "swin_t": 64,
    "vgg11": 32,
    "vit_b_32": 224,
    "wide_resnet50_2": 32,
    "timm/convnext_atto": 32,
    "timm/resnet18": 32,
    "timm/vit_tiny_patch16_224": 224,
    "tf_efficientnet_lite0": 32,
    "mobilenetv3_small_050": 32,
}


@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_every_family_gets_a_new_head(name, size):
    model = build_transfer(name, 7, weights=None).eval()
    assert model(torch.rand(2, 3, size, size)).shape == (2, 7)
    # the old classifier is gone: nothing has 1,000 outputs any more
    assert not [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    assert model.layers


def test_the_families_are_all_of_torchvision():
    def family(name):
        builder = torchvision.models.get_model_builder(name)
        return builder.__module__

    names = torchvision.models.list_models(module=torchvision.models)
    tested = {family(n) for n in FAMILIES if n in names}
    assert {family(n) for n in names} == tested


def steps(model, count=2):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model.train()
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.rand(4, 3, 32, 32)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "vgg11_bn"])
def test_frozen_is_frozen_and_the_head_learns(name):
    model = build_transfer(name, 4, weights=None)
    model.freeze()
    before = copy.deepcopy(model.state_dict())
    steps(model)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"head.weight", "head.bias"}  # batch-norm statistics stay too


def test_last_blocks_are_unfrozen_and_only_these():
    model = build_transfer("resnet18", 4, weights=None)
    model.unfreeze(0.2)  # of ten
    before = copy.deepcopy(model.state_dict())
    steps(model)
    moved = {key.rsplit(".", 2)[0] for key in before if not torch.equal(model.state_dict()[key], before[key])}
    assert moved and all(key.startswith(("backbone.layer4", "head")) for key in moved)
    model.unfreeze()
    assert all(p.requires_grad for p in model.parameters())


def test_frozen_dropout_is_off():
    model = build_transfer("vgg11", 4, weights=None, dropout=0.0)
    model.freeze()
    model.train()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(x), model(x))


def test_unknown_name_gives_close_matches():
    with pytest.raises(ValueError, match="resnet18"):
        build_transfer("resnet19", 4)
    assert len(available_backbones()) == len(set(available_backbones()))


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_weights_are_the_pretrained_ones(name):
    pytest.importorskip(PACKAGED[name].package)
    model, empty = build_transfer(name, 4), build_transfer(name, 4, weights=None)
    assert model.mean == model.std == (0.5, 0.5, 0.5)
    # trained batch norms have seen pictures, new ones have not
    statistics = [k for k in model.state_dict() if k.endswith("running_mean")]
    assert all(model.state_dict()[k].abs().sum() > 0 for k in statistics)
    assert all(empty.state_dict()[k].abs().sum() == 0 for k in statistics)


def test_packaged_weights_of_another_content_are_refused(monkeypatch):
    name = "tf_efficientnet_lite0"
    pytest.importorskip(PACKAGED[name].package)
    monkeypatch.setitem(PACKAGED, name, type(PACKAGED[name])(PACKAGED[name].package, "*.pth", "0" * 64))
    with pytest.raises(WeightsError, match="reinstall"):
        build_transfer(name, 4)


def test_local_file_of_weights(tmp_path):
    source = torchvision.models.resnet18()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    model = build_transfer("resnet18", 4, weights=tmp_path / "w.pt")
    assert torch.equal(model.backbone.conv1.weight, source.conv1.weight)
    for name, match in (("resnet34", "does not hold"), ("resnet18", "not there")):
        with pytest.raises(WeightsError, match=match):
            build_transfer(name, 4, weights=tmp_path / ("w.pt" if name == "resnet34" else "absent.pt"))


def test_hub_that_cannot_be_reached_says_what_to_do(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="go online"):
        build_transfer("resnet18", 4)


def test_linear_probe_is_measured_on_validation_pictures(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for path in (data_set / "test").rglob("*.jpg"):
        path.write_bytes(b"never read")
    name = "tf_efficientnet_lite0"
    pytest.importorskip(PACKAGED[name].package)
    probe = linear_probe(name, data_set, size=64)
    assert probe["valid_accuracy"] == 1.0  # three colours: any feature will do
    assert probe["parameters"] == sum(p.numel() for p in build_transfer(name).backbone.parameters())


def test_a_wrong_label_stands_out_when_the_probe_has_not_learnt_it(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name = "tf_efficientnet_lite0"
    pytest.importorskip(PACKAGED[name].package)
    (data_set / "train/00.Alpha/0.jpg").rename(data_set / "train/01.Beta/wrong.jpg")
    found = cross_validated(name, data_set, size=64, folds=3)
    assert len(found) == 30
    wrong = found.table[~found.correct]
    assert [path.rsplit("/", 1)[1] for path in wrong.path] == ["wrong.jpg"]
    assert wrong.prediction.item() == "Alpha"


def test_depthwise_convolutions_that_learn_do_so_in_float32():
    """And copies of the network, as the moving average is one, use their own weights."""
    model = build_transfer("mobilenet_v2", 3, weights=None).train()
    kinds = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda module, _, y, name=name: kinds.setdefault(module.groups > 1, set()).add(y.dtype)
            )
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.rand(2, 3, 64, 64)).sum().backward()
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}
    model.eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
        assert twin(torch.rand(1, 3, 64, 64)).abs().max() == 0
        assert model(torch.rand(1, 3, 64, 64)).abs().max() > 0


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "resnet18", "timm/resnet18", "vit_tiny_patch16_224"]
)
def test_features_are_means_of_their_maps(name):
    model = build_transfer(name, 3, weights=None).eval()
    with torch.inference_mode():
        features, maps = model.features_and_maps(torch.rand(1, 3, 224, 224))
        assert torch.allclose(
            model.features(torch.ones(1, 3, 224, 224)), model.backbone(torch.ones(1, 3, 224, 224))
        )
    assert features.shape[1] == maps.shape[1] == model.head.in_features
    assert torch.allclose(maps.mean((2, 3)), features, atol=1e-4)
    assert (maps.shape[2] > 1) == (name in ("tf_efficientnet_lite0", "timm/resnet18"))
