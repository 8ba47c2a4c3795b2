"""Learned post-processing with PyTorch: an ensemble of small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.regression.learned import LearnedMitigation, LearningSettings
from pipeline.regression.regressors import Regressor

Array = NDArray[np.float64]


class TorchMitigation(LearnedMitigation):
    """Corrects expectation values by PyTorch networks that it trains on near-Clifford circuits.

    Training, validation and the refusal outside of the training range are `LearnedMitigation`'s.
    PyTorch is in an image of its own, ``deployments/images/torch``.
    """

    requires = ("torch",)
    purpose = "learn a correction from training circuits"

    class Settings(LearningSettings):
        """``hidden`` are the widths of the layers, ``networks`` those that are averaged."""

        hidden: tuple[int, ...] = (32, 32)
        networks: int = Field(default=3, ge=1, le=64)
        steps: int = Field(default=300, ge=1)
        learning_rate: float = Field(default=0.01, gt=0)
        weight_decay: float = Field(default=0.1, ge=0)

    def regressor(self, seed: int) -> Regressor:
        return TorchRegressor(self.settings, seed)


class TorchRegressor:
    """Networks with a linear shortcut, so that what is linear need not be learnt by the layers."""

    def __init__(self, settings: TorchMitigation.Settings, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        self._networks: list[Any] = []

    def fit(self, features: Array, targets: Array) -> None:
        import torch

        inputs = torch.as_tensor(features, dtype=torch.float64)
        wanted = torch.as_tensor(targets, dtype=torch.float64)
        self._networks = []
        # Other code in the process keeps its random numbers, and these do not depend on it.
        with torch.random.fork_rng(devices=[]):
            for index in range(self._settings.networks):
                torch.manual_seed(self._seed % 2**32 + index)
                self._networks.append(self._trained(inputs, wanted))

    def predict(self, features: Array) -> Array:
        import torch

        inputs = torch.as_tensor(features, dtype=torch.float64)
        with torch.no_grad():
            found = torch.stack([network(inputs) for network in self._networks]).mean(dim=0)
        return np.asarray(found.numpy(), dtype=np.float64)

    def _trained(self, inputs: Any, wanted: Any) -> Any:
        """A network after a fixed number of steps over all examples at once."""
        import torch

        settings = self._settings
        network = _network(inputs.shape[1], settings.hidden, wanted.shape[1])
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        loss = torch.nn.MSELoss()
        for _ in range(settings.steps):
            optimiser.zero_grad()
            loss(network(inputs), wanted).backward()
            optimiser.step()
        return network.eval()


def _network(inputs: int, hidden: tuple[int, ...], outputs: int) -> Any:
    import torch

    class Shortcut(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            layers: list[Any] = []
            widths = (inputs, *hidden)
            for width, following in zip(widths, hidden, strict=False):
                layers += [torch.nn.Linear(width, following), torch.nn.Tanh()]
            self.deep = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], outputs))
            self.linear = torch.nn.Linear(inputs, outputs)

        def forward(self, features: Any) -> Any:
            return self.linear(features) + self.deep(features)

    return Shortcut().double()
