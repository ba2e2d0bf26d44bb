"""The paper's eight networks by name, what is ours beside them, and what fixes a network's shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

NAMES = (
    "std_8x8",
    "std_16x16",
    "vae_8x8_256",
    "vae_8x8_512",
    "vae_8x8_1024",
    "vae_16x16_256",
    "vae_16x16_512",
    "vae_16x16_1024",
)
OURS = ("restorer",)
T1T2 = "vae_8x8_512_t1t2"  # ours too: sees T1w beside T2w; to be trained, no weights come with it


class ModelError(ValueError):
    """A network configuration or model folder that can't be used."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that fixes a network's shape."""

    name: str
    kind: Literal["ae", "vae"]
    cube: int  # N: input and output are N³
    bottleneck: int  # k: the code is k³
    latent: int  # nodes of the variational layer; 0 for an autoencoder
    base_channels: int = 8  # at full resolution; doubled at each halving of the grid
    max_channels: int = 64
    latent_channels: int = 4  # channels of the k³ code
    logvar_rank: int = 64  # rank of the log-variance head; 0 for an autoencoder
    norm_groups: int = 4
    blocks: int = 1  # residual blocks a level, each way
    in_channels: int = 1  # contrasts in and out: 2 for T2w and T1w

    def __post_init__(self) -> None:
        for field in fields(self):
            value, expected = getattr(self, field.name), str if field.type in ("str",) else int
            if field.name == "kind":
                expected = str
            if type(value) is not expected:
                raise ModelError(
                    f"network {self.name!r}: {field.name} is {value!r}, expected {expected.__name__}"
                )
        if self.kind not in ("ae", "vae"):
            raise ModelError(f"network {self.name!r}: kind is {self.kind!r}, expected 'ae' or 'vae'")
        floors = {"cube": 2, "latent": 0, "logvar_rank": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < floors.get(field.name, 1):
                least = floors.get(field.name, 1)
                raise ModelError(f"network {self.name!r}: {field.name} is {value}, expected {least} or more")
        ratio = self.cube // self.bottleneck
        if ratio < 2 or self.bottleneck * ratio != self.cube or ratio & (ratio - 1):
            raise ModelError(
                f"network {self.name!r}: cube {self.cube} over bottleneck {self.bottleneck} must be a power "
                "of two, 2 or more, since each level halves the grid"
            )
        if (self.kind == "vae") != (self.latent > 0) or (self.kind == "vae") != (self.logvar_rank > 0):
            raise ModelError(
                f"network {self.name!r}: latent {self.latent}, logvar_rank {self.logvar_rank} with kind "
                f"{self.kind!r}; expected both 0 for 'ae', both positive for 'vae'"
            )
        if any(width % self.norm_groups for width in self.channels):
            raise ModelError(
                f"network {self.name!r}: norm_groups {self.norm_groups} must divide channels {self.channels}"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Widths from full resolution to the bottleneck."""
        levels = (self.cube // self.bottleneck).bit_length()
        return tuple(min(self.base_channels * 2**level, self.max_channels) for level in range(levels))


@dataclass(frozen=True)
class RestorerConfig:
    """Everything that fixes the shape of a restoration network, a U-Net (see ``restorer.py``)."""

    name: str
    kind: Literal["restorer"]
    cube: int  # N: input and output are N³
    base_channels: int = 8  # at full resolution; doubled at each halving of the grid
    levels: int = 4  # resolutions

    def __post_init__(self) -> None:
        for field in fields(self):
            value, expected = getattr(self, field.name), str if field.name in ("name", "kind") else int
            if type(value) is not expected:
                raise ModelError(
                    f"network {self.name!r}: {field.name} is {value!r}, expected {expected.__name__}"
                )
        if self.kind != "restorer":
            raise ModelError(f"network {self.name!r}: kind is {self.kind!r}, expected 'restorer'")
        for name in ("base_channels", "levels"):
            if getattr(self, name) < 1:
                raise ModelError(
                    f"network {self.name!r}: {name} is {getattr(self, name)}, expected 1 or more"
                )
        if self.cube < self.multiple or self.cube % self.multiple:
            raise ModelError(
                f"network {self.name!r}: cube {self.cube} must be a multiple of {self.multiple}, since "
                f"{self.levels - 1} levels halve the grid"
            )

    @property
    def multiple(self) -> int:
        """Voxels that each side of an input must be a multiple of."""
        return 1 << (self.levels - 1)

    @property
    def channels(self) -> tuple[int, ...]:
        """Widths from full resolution to the coarsest."""
        return tuple(self.base_channels * 2**level for level in range(self.levels))


AnyConfig = NetworkConfig | RestorerConfig


def network_config_from_dict(raw: dict[str, Any]) -> AnyConfig:
    """Strict reading of ``config.json``'s "network"; its "kind" tells which one it is.

    Raises
    ------
    ModelError
        On unknown or missing keys, wrong types and impossible shapes.
    """
    made: type[AnyConfig] = RestorerConfig if raw.get("kind") == "restorer" else NetworkConfig
    known = {field.name for field in fields(made)}
    if unknown := sorted(set(raw) - known):
        raise ModelError(f"network: unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if missing := sorted(known - set(raw) - {"in_channels"}):  # younger than the eight: without it, 1
        raise ModelError(f"network: missing key {', '.join(missing)}")
    return made(**raw)


def network_config_to_dict(config: AnyConfig) -> dict[str, Any]:
    """``config.json``'s "network"; ``in_channels`` only where it is not 1, so that older files hold."""
    raw = asdict(config)
    if raw.get("in_channels") == 1:
        del raw["in_channels"]
    return raw


def network_config(name: str, cube: int = 64) -> NetworkConfig:
    """Configuration of one of the eight at a cube size.

    ``std_k×k`` is an autoencoder with bottleneck k³, ``vae_k×k_n`` a variational one with n nodes.

    Raises
    ------
    ModelError
        For a name that is not among ``NAMES``, or a cube that k does not divide by a power of two.
    """
    if name not in NAMES:
        raise ModelError(f"unknown model {name!r}; known are {', '.join(NAMES)}")
    kind, grid, *nodes = name.split("_")
    bottleneck = int(grid.split("x")[0])
    if kind == "std":
        return NetworkConfig(name, "ae", cube, bottleneck, 0, latent_channels=4, logvar_rank=0)
    # Dense layers dominate a model's size: 16³ × 1 and 8³ × 2 keep the eight under 60 MB in half precision.
    latent_channels = 1 if bottleneck == 16 else 2
    return NetworkConfig(name, "vae", cube, bottleneck, int(nodes[0]), latent_channels=latent_channels)


def model_config(name: str, cube: int = 64) -> AnyConfig:
    """Configuration of one of the eight, or of what is ours beside them.

    Raises
    ------
    ModelError
        For a name that is in neither ``NAMES`` nor ``OURS`` nor ``T1T2``, or a cube that the network can't
        halve.
    """
    if name == T1T2:
        return replace(network_config("vae_8x8_512", cube), name=name, in_channels=2)
    if name in OURS:
        return RestorerConfig(name, "restorer", cube)
    if name not in NAMES:
        raise ModelError(f"unknown model {name!r}; known are {', '.join((*NAMES, *OURS, T1T2))}")
    return network_config(name, cube)
