"""Regions cover the whole, merge without a seam, and cost their share."""

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec
from gainnet.models.loading import load_model
from gainnet.models.regions import Region, blending_weights, crop_of, merge, picture_scale, regional, regions_of
from gainnet.models.renamed import rename
from gainnet.testing import check_part

RANDOM = Random.of([1, 2])


@pytest.fixture(scope="module", params=["small", pytest.param("scenes", marks=pytest.mark.slow)])
def model(request, small_stable_diffusion):
    return load_model(str(small_stable_diffusion) if request.param == "small" else "scenes", num_steps=4)


@pytest.mark.parametrize("num_regions", [1, 2, 3, 4])
def test_weights_are_a_smooth_partition_of_one(model, num_regions):
    regions = regions_of(model, num_regions)
    weights = blending_weights(regions, model.latent)
    torch.testing.assert_close(weights.sum(0), torch.ones(model.latent.shape[1:]))
    steepest = max(float(weights.diff(dim=d).abs().max()) for d in (1, 2)) if num_regions > 1 else 0.0
    assert steepest < 0.75


@pytest.mark.parametrize("num_regions", [1, 2, 3, 4])
def test_cut_and_merged_is_the_whole(model, num_regions):
    x = RANDOM.normal(model.latent.shape, "x")
    regions = regions_of(model, num_regions)
    names = tuple(f"piece_{k}" for k in range(num_regions))
    tensors = {"latent": x}
    for region, name in zip(regions, names, strict=True):
        part = crop_of("latent", model.latent, region, name)
        check_part(part, tensors, RANDOM)
        tensors |= part({"latent": x}, RANDOM)
    merged = merge(names, regions, model.latent, "latent")
    check_part(merged, tensors, RANDOM)
    torch.testing.assert_close(merged(tensors, RANDOM)["latent"], x)


def test_regions_of_different_levels_meet_in_a_slope_not_in_a_step():
    regions = (Region(0, 0, 16, 12), Region(0, 4, 16, 12))
    merged = merge(("a", "b"), regions, Spec((1, 16, 16)), "x")
    pieces = {"a": torch.zeros(1, 16, 12), "b": torch.ones(1, 16, 12)}
    x = merged(pieces, Random.of(0))["x"][0, 0]
    assert float(x[0]) == float(x[3]) == 0.0
    assert float(x[12]) == float(x[15]) == 1.0
    assert bool((x.diff() >= 0).all())
    assert float(x.diff().max()) < 0.25


@pytest.mark.slow
def test_parts_of_a_region_keep_the_contract_and_cost_its_share(model):
    tensors = {"prompt": text_to_tensor(["a red star", "a blue house"])}
    tensors |= model.text_encoder(tensors, RANDOM) | model.prior({}, RANDOM)
    region = regions_of(model, 2)[1]
    tensors |= crop_of("latent", model.latent, region, "latent_2")(tensors, RANDOM)
    denoiser = rename(regional(model.denoiser[3:], region), {"latent": "latent_2"}, {"latent": "latent_2"})
    decoder = rename(regional(model.decoder, region), {"latent": "latent_2"}, {"image": "image_2"})
    check_part(denoiser, tensors, RANDOM)
    check_part(decoder, tensors, RANDOM)
    share = region.width / model.latent.shape[-1]
    assert share * 0.9 < denoiser.flops / model.denoiser[3:].flops < 1
    assert decoder.writes["image_2"] == region.scaled(picture_scale(model)).of(model.image)


def test_what_does_not_fit_is_named(model):
    with pytest.raises(ConfigError, match="num_regions"):
        regions_of(model, 5)
    with pytest.raises(ConfigError, match="overlap"):
        regions_of(model, 2, overlap=1)
    with pytest.raises(ConfigError, match="cover"):
        merge(("a",), (Region(0, 0, 2, 2),), Spec((1, 2, 3)), "x")
    with pytest.raises(ConfigError, match="pieces"):
        merge(("a", "b"), (Region(0, 0, 2, 2),), Spec((1, 2, 2)), "x")
    with pytest.raises(ConfigError, match="divisible"):
        Region(0, 0, 3, 4).shrunk(2)


def columns_gradient(images):
    """[width - 1], mean absolute difference of neighbouring columns."""
    return images.diff(dim=-1).abs().mean((0, 1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("num_regions", [2, 4])
def test_a_picture_finished_in_regions_has_no_seam(num_regions):
    model, random = load_model("scenes"), Random.of([1, 2, 3, 4, 5, 6])
    prompts = ["a red star above a blue house at sunset", "a green tree in the snow", "a yellow boat"] * 2
    tensors = {"prompt": text_to_tensor(prompts)}
    for part in (model.text_encoder, model.prior, model.denoiser[:6]):
        tensors |= part(tensors, random)
    whole = model.decoder(model.denoiser[6:](tensors, random), random)["image"].detach()
    regions, names = regions_of(model, num_regions), tuple(f"latent_{k}" for k in range(num_regions))
    for region, name in zip(regions, names, strict=True):
        tensors |= crop_of("latent", model.latent, region, name)(tensors, random)
        tensors |= rename(regional(model.denoiser[6:], region), {"latent": name}, {"latent": name})(tensors, random)
    merged = model.decoder(merge(names, regions, model.latent, "latent")(tensors, random), random)["image"].detach()
    ours, theirs = columns_gradient(merged), columns_gradient(whole)
    edges = [8 * edge for region in regions for edge in (region.left, region.left + region.width) if 0 < edge < 16]
    at_seams = torch.stack([ours[edge - 1] for edge in edges]).mean()
    there_before = torch.stack([theirs[edge - 1] for edge in edges]).mean()
    assert float(at_seams) < 1.2 * float(there_before)
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), rel=0.15)
