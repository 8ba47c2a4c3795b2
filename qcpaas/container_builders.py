"""Building container images and looking into them, with whichever of three programs is there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from qcpaas.errors import InputError, PlatformError, PlatformUnavailable
from qcpaas.schemas import Environment

NAMES = ("docker", "podman", "buildah")
FILES = ("Containerfile", "Dockerfile")
_ASKED_S = 60.0
_LOOK = ("-m", "tasks.describe_environment")
_LOOK_S = 600.0


@dataclass(frozen=True)
class Recipe:
    """What an image is built from.

    Attributes:
        file: The Containerfile.
        context: Folder that its COPY lines read.
        base: Image for its ``ARG BASE``; the file's own unless given.
        target: Stage at which to stop; its last unless given.
        more: Arguments for the builder itself.
    """

    file: Path
    context: Path
    base: str = ""
    target: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """Attributes:
    user: That the image runs as, as it is written there; empty means root.
    environment: What a worker in it would register.
    """

    user: str
    environment: Environment

    @property
    def is_root(self) -> bool:
        return self.user.partition(":")[0] in ("", "0", "root")


class Builder:
    """One of docker, podman and buildah."""

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, recipe: Recipe, tag: str) -> None:
        """Build and name an image; the program's own words go to the terminal.

        Raises:
            PlatformError: The program has failed.
        """
        command = [self.name, "build", "--file", str(recipe.file), "--tag", tag]
        if self.name != "docker":
            command += ["--format", "docker"]  # the other format has no health checks
        if recipe.base:
            command += ["--build-arg", f"BASE={recipe.base}"]
        if recipe.target:
            command += ["--target", recipe.target]
        command += [*recipe.more, str(recipe.context)]
        code = subprocess.run(command, check=False).returncode
        if code != 0:
            raise PlatformError(
                f"{self.name} could not build {recipe.file}: it ended with {code}, and what it "
                "said stands above."
            )

    def look(self, image: str) -> Looked:
        """Run what a worker registers in a container of the image, without a network.

        Raises:
            InputError: The image is not here, or is no worker's.
        """
        user = self._user(image)
        told = self._described(image)
        line = told.strip().rpartition("\n")[2]
        try:
            return Looked(user, Environment.model_validate_json(line))
        except ValidationError as error:
            raise InputError(
                f"what {image} says of itself cannot be read: {line[:200]!r}. Is it built on a "
                "base worker of another version?"
            ) from error

    def _user(self, image: str) -> str:
        if self.name == "buildah":
            form = "inspect --type image --format {{.OCIv1.Config.User}}"
        else:
            form = "image inspect --format {{.Config.User}}"
        told = _ask([self.name, *form.split(), image], _ASKED_S)
        if told.returncode != 0:
            raise InputError(
                f"{self.name} has no image {image}: {_last_line(told.stderr)}. Build it with "
                "`qcpaas image build`, or pull it."
            )
        return told.stdout.strip()

    def _described(self, image: str) -> str:
        if self.name != "buildah":
            form = ("run", "--rm", "--network", "none", "--entrypoint", "python")
            return self._output([self.name, *form, image, *_LOOK], image)
        container = self._output([self.name, "from", "--pull-never", image], image).strip()
        try:
            return self._output([self.name, "run", container, "--", "python", *_LOOK], image)
        finally:
            _ask([self.name, "rm", container], _ASKED_S)

    def _output(self, command: Sequence[str], image: str) -> str:
        done = _ask(command, _LOOK_S)
        if done.returncode != 0:
            raise InputError(
                f"no worker could start in {image}: {_last_line(done.stderr)}. A worker's image "
                "starts FROM the base worker, and keeps its environment and its user."
            )
        return done.stdout


def find_builder(asked: str = "") -> Builder:
    """The one that is asked for, or the first that works here.

    Raises:
        InputError: There is no such builder.
        PlatformUnavailable: It does not work here, or none does; says why of each.
    """
    if asked and asked not in NAMES:
        raise InputError(f"{asked!r} is no builder. Name one of {', '.join(NAMES)}.")
    reasons = []
    for name in (asked,) if asked else NAMES:
        reason = _why_not(name)
        if not reason:
            return Builder(name)
        reasons.append(f"{name}: {reason}")
    raise PlatformUnavailable(
        f"no builder of images works here ({'; '.join(reasons)}). Install podman or buildah, or "
        "start Docker's engine."
    )


def read_recipe(path: Path, context: Path | None = None) -> Recipe:
    """The file at a path, or in the folder there; its own folder is the context unless given.

    Raises:
        InputError: There is none.
    """
    candidates = [path / name for name in FILES] if path.is_dir() else [path]
    for file in candidates:
        if file.is_file():
            return Recipe(file, context or file.parent)
    raise InputError(
        f"there is no {' or '.join(map(str, candidates))}. Give a Containerfile, or the folder "
        "that has one."
    )


def _why_not(name: str) -> str:
    if shutil.which(name) is None:
        return "is not installed"
    if name != "docker":
        return ""
    # The command is often there without the engine that it asks.
    told = _ask([name, "info", "--format", "{{.ServerVersion}}"], _ASKED_S)
    return "" if told.returncode == 0 else _last_line(told.stderr)


def _ask(command: Sequence[str], deadline_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PlatformUnavailable(
            f"`{' '.join(command[:3])}` has not answered in {deadline_s:.0f} s. Look at "
            f"{command[0]} itself."
        ) from error


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].rstrip(".") or "it did not say why"
