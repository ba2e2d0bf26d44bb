"""Strict configurations, and the size of the eight."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from core.networks.autoencoder import build_network
from core.networks.config import (
    NAMES,
    OURS,
    T1T2,
    ModelError,
    NetworkConfig,
    RestorerConfig,
    model_config,
    network_config,
    network_config_from_dict,
    network_config_to_dict,
)


def raw(**changes: Any) -> dict[str, Any]:
    return {**asdict(network_config("vae_8x8_512", 64)), **changes}


def half_precision_bytes(name: str, cube: int) -> int:
    with torch.device("meta"):
        network = build_network(network_config(name, cube))
    return 2 * sum(value.numel() for value in network.state_dict().values())


def test_names_are_the_papers_eight() -> None:
    vaes = [f"vae_{k}x{k}_{nodes}" for k in (8, 16) for nodes in (256, 512, 1024)]
    assert list(NAMES) == ["std_8x8", "std_16x16", *vaes]


@pytest.mark.parametrize(
    ("name", "cube", "channels", "latent"),
    [
        ("std_8x8", 64, (8, 16, 32, 64), 0),
        ("vae_16x16_1024", 64, (8, 16, 32), 1024),
        ("vae_8x8_256", 256, (8, 16, 32, 64, 64, 64), 256),
        ("std_16x16", 256, (8, 16, 32, 64, 64), 0),
    ],
)
def test_channels_double_at_each_halving(
    name: str, cube: int, channels: tuple[int, ...], latent: int
) -> None:
    config = network_config(name, cube)
    assert config.channels == channels
    assert config.latent == latent
    assert config.bottleneck * 2 ** (len(channels) - 1) == cube


def test_dict_round_trip() -> None:
    for name in NAMES:
        config = network_config(name, 128)
        assert network_config_from_dict(asdict(config)) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latents": 3}, r"network: unknown key latents; known are .*latent, "),
        ({"cube": "64"}, r"'vae_8x8_512': cube is '64', expected int"),
        ({"cube": True}, r"cube is True, expected int"),
        ({"name": 3}, r"name is 3, expected str"),
        ({"kind": "gan"}, r"kind is 'gan', expected 'ae' or 'vae'"),
        ({"cube": 60}, r"cube 60 over bottleneck 8 must be a power of two"),
        ({"cube": 48}, r"cube 48 over bottleneck 8 must be a power of two"),
        ({"cube": 8}, r"cube 8 over bottleneck 8 must be a power of two"),
        ({"kind": "ae"}, r"latent 512, logvar_rank 64 with kind 'ae'; expected both 0"),
        ({"latent": 0}, r"latent 0, logvar_rank 64 with kind 'vae'"),
        ({"blocks": 0}, r"blocks is 0, expected 1 or more"),
        ({"norm_groups": 3}, r"norm_groups 3 must divide channels \(8, 16, 32, 64\)"),
    ],
)
def test_bad_dicts_say_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network_config_from_dict(raw(**changes))


def test_missing_key_is_named() -> None:
    short = raw()
    del short["blocks"], short["cube"]
    with pytest.raises(ModelError, match=r"network: missing key blocks, cube"):
        network_config_from_dict(short)


def test_unknown_name_lists_the_eight() -> None:
    with pytest.raises(
        ModelError, match=r"unknown model 'vae_8x8_2048'; known are std_8x8, .*vae_16x16_1024"
    ):
        network_config("vae_8x8_2048")


def test_the_eight_stay_far_below_60_mb() -> None:
    sizes = {name: half_precision_bytes(name, 64) / 1e6 for name in NAMES}
    assert sum(sizes.values()) < 50
    assert max(sizes, key=sizes.__getitem__) == "vae_16x16_1024"


def test_the_eight_build_at_256() -> None:
    # A dense layer depends on the bottleneck only: 256³ costs a few more convolutions.
    for name in NAMES:
        assert half_precision_bytes(name, 64) < half_precision_bytes(name, 256) < 25e6


def test_ours_stand_beside_the_eight() -> None:
    assert OURS == ("restorer",)
    assert not set(OURS) & set(NAMES)
    config = model_config("restorer", 128)
    assert isinstance(config, RestorerConfig)
    assert network_config_from_dict(asdict(config)) == config
    assert config.channels == (8, 16, 32, 64)
    assert model_config("std_8x8", 128) == network_config("std_8x8", 128)
    with pytest.raises(
        ModelError, match=r"unknown model 'unet'; known are std_8x8, .*, restorer, vae_8x8_512_t1t2"
    ):
        model_config("unet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bottleneck": 8},
            r"network: unknown key bottleneck; known are base_channels, cube, kind, levels, name",
        ),
        ({"cube": 60}, r"'restorer': cube 60 must be a multiple of 8, since 3 levels halve the grid"),
        ({"cube": 0}, r"cube 0 must be a multiple of 8"),
        ({"levels": "4"}, r"levels is '4', expected int"),
        ({"levels": 0}, r"levels is 0, expected 1 or more"),
        ({"base_channels": -8}, r"base_channels is -8, expected 1 or more"),
    ],
)
def test_bad_restorers_say_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network_config_from_dict({**asdict(model_config("restorer")), **changes})


def test_two_channels_are_a_key_that_older_files_lack() -> None:
    one = network_config("vae_8x8_512")
    assert "in_channels" not in network_config_to_dict(one)
    assert network_config_from_dict(network_config_to_dict(one)) == one
    both = model_config(T1T2)
    assert isinstance(both, NetworkConfig)
    assert (both.in_channels, both.latent, both.bottleneck) == (2, 512, 8)
    assert network_config_to_dict(both)["in_channels"] == 2
    assert network_config_from_dict(network_config_to_dict(both)) == both
    for bad, message in ((0, "in_channels is 0, expected 1 or more"), (True, "in_channels is True")):
        with pytest.raises(ModelError, match=message):
            network_config_from_dict(raw(in_channels=bad))


def test_the_second_channel_adds_two_convolutions_ends() -> None:
    with torch.device("meta"):
        sizes = [
            sum(value.numel() for value in build_network(config).state_dict().values())
            for config in (network_config("vae_8x8_512"), model_config(T1T2))
            if isinstance(config, NetworkConfig)
        ]
    # 3³ weights for each of 8 channels, once in and once out, and the output's bias.
    assert sizes[1] - sizes[0] == 2 * 27 * 8 + 1
