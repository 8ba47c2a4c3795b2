"""A linear map of Pauli operators as a chain of tensors, cut to a bond dimension."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class OperatorChain:
    """A matrix over Pauli strings: one tensor a qubit, of shape ``(left, 4, 4, right)``.

    Of the two middle axes the first is the letter (I, X, Y, Z) of the string that comes out, the
    second of the one that goes in. It starts as the identity. Cuts are best in 2-norm, since all
    tensors but the one in the centre are kept orthogonal.

    Args:
        order: Qubits along the chain.

    Attributes:
        lost: Squared 2-norm, relative to the map's, that cuts have taken away; cuts add up.
        largest_bond: That was needed.
    """

    def __init__(self, order: Sequence[int], max_bond: int, cutoff: float) -> None:
        self.sites = list(order)
        self.max_bond, self.cutoff = max_bond, cutoff
        self.tensors = [np.eye(4).reshape(1, 4, 4, 1) / 2 for _ in order]  # of norm 1
        self.lost, self.largest_bond = 0.0, 1
        self._centre = 0
        self._pending: dict[int, Array] = {}

    def multiply(self, qubit: int, left: Array, right: Array | None = None) -> None:
        """``left M right`` on one qubit; it waits for the next map on two.

        Args:
            left: Shape ``(4, 4)``.
            right: Likewise; the identity unless given.
        """
        both = np.einsum("ab,cd->acbd", left, np.eye(4) if right is None else right.T)
        waiting = self._pending.get(qubit)
        both = both.reshape(16, 16)
        self._pending[qubit] = both if waiting is None else both @ waiting

    def multiply_two(
        self, first: int, second: int, left: Array, right: Array | None = None
    ) -> None:
        """``left M right`` on two qubits.

        Args:
            left: Shape ``(16, 16)``; the first qubit's letter counts four times.
        """
        self._bring_together(first, second)
        place = min(self.sites.index(first), self.sites.index(second))
        self._absorb(place)
        self._absorb(place + 1)
        pair = np.tensordot(self.tensors[place], self.tensors[place + 1], axes=1)
        if self.sites[place] != first:
            left, right = _exchanged(left), None if right is None else _exchanged(right)
        ends = pair.shape[0] * 16, 16 * pair.shape[-1]
        pair = np.einsum("abcd,lcxdyr->laxbyr", left.reshape(4, 4, 4, 4), pair, optimize=True)
        if right is not None:
            within = right.reshape(4, 4, 4, 4)
            pair = np.einsum("lcxdyr,xyab->lcadbr", pair, within, optimize=True)
        self._split(place, pair.reshape(ends))

    def settle(self) -> None:
        """Take up what waits on single qubits."""
        for place in range(len(self.sites)):
            self._absorb(place)

    def image(self, letters: Sequence[int]) -> list[Array]:
        """What a Pauli string is mapped to, as a chain of tensors ``(left, 4, right)``.

        Args:
            letters: 0 to 3 for I, X, Y and Z, of each qubit in the order of `sites`.
        """
        return [
            2 * tensor[:, :, letter, :]
            for tensor, letter in zip(self.tensors, letters, strict=True)
        ]

    def _bring_together(self, first: int, second: int) -> None:
        """Exchange neighbours until two qubits are side by side; they stay there."""
        low, high = sorted((self.sites.index(first), self.sites.index(second)))
        for place in range(high - 1, low, -1):
            self._absorb(place)
            self._absorb(place + 1)
            pair = np.tensordot(self.tensors[place], self.tensors[place + 1], axes=1)
            ends = pair.shape[0] * 16, 16 * pair.shape[-1]
            pair = pair.transpose(0, 3, 4, 1, 2, 5)
            self._split(place, pair.reshape(ends).astype(np.float64, copy=False))
            sites = self.sites
            sites[place], sites[place + 1] = sites[place + 1], sites[place]

    def _absorb(self, place: int) -> None:
        """Put what waits on a qubit into its tensor, which becomes the centre."""
        self._move_centre(place)
        waiting = self._pending.pop(self.sites[place], None)
        if waiting is not None:
            tensor = self.tensors[place]
            flat = tensor.reshape(len(tensor), 16, -1)
            self.tensors[place] = np.einsum("ab,lbr->lar", waiting, flat).reshape(tensor.shape)

    def _split(self, place: int, matrix: Array) -> None:
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        squares = s**2 / (s**2).sum()
        lost = np.append(np.cumsum(squares[::-1])[::-1], 0.0)  # if this many are kept
        kept = min(self.max_bond, max(1, int(np.argmax(lost <= self.cutoff))))
        self.lost += float(lost[kept])
        self.largest_bond = max(self.largest_bond, kept)
        self.tensors[place] = u[:, :kept].reshape(-1, 4, 4, kept)
        self.tensors[place + 1] = (s[:kept, None] * v[:kept]).reshape(kept, 4, 4, -1)
        self._centre = place + 1

    def _move_centre(self, place: int) -> None:
        while self._centre < place:
            tensor = self.tensors[self._centre]
            q, rest = np.linalg.qr(tensor.reshape(-1, tensor.shape[-1]))
            self.tensors[self._centre] = q.reshape(*tensor.shape[:-1], -1)
            self._centre += 1
            self.tensors[self._centre] = np.tensordot(rest, self.tensors[self._centre], axes=1)
        while self._centre > place:
            tensor = self.tensors[self._centre]
            q, rest = np.linalg.qr(tensor.reshape(tensor.shape[0], -1).T)
            self.tensors[self._centre] = q.T.reshape(-1, *tensor.shape[1:])
            self._centre -= 1
            self.tensors[self._centre] = np.tensordot(self.tensors[self._centre], rest.T, axes=1)


def largest_components(
    tensors: Sequence[Array], count: int
) -> tuple[NDArray[np.intp], Array, float]:
    """The largest entries of a chain of tensors, found from left to right.

    At each tensor the ``count`` beginnings stay whose completions have the largest 2-norm, which
    orthogonal tensors to the right make exact.

    Args:
        tensors: Each of shape ``(left, letters, right)``; the outer bonds are 1.

    Returns:
        Letters of each entry, shape ``(found, len(tensors))``; its value; and the squared 2-norm
        of all entries that were left out.
    """
    right = _orthogonal_to_the_right(tensors)
    total = float((right[0] ** 2).sum())
    begun = np.ones((1, 1))
    letters = np.empty((1, 0), dtype=np.intp)
    for tensor in right:
        longer = np.tensordot(begun, tensor, axes=1).reshape(-1, tensor.shape[-1])
        norms = (longer**2).sum(axis=1)
        best = np.argsort(-norms, kind="stable")[:count]
        best = best[norms[best] > 1e-24 * total]
        before, letter = np.divmod(best, tensor.shape[1])
        letters = np.column_stack([letters[before], letter])
        begun = longer[best]
    values = begun[:, 0]
    return letters, values, max(total - float(values @ values), 0.0)


def _orthogonal_to_the_right(tensors: Sequence[Array]) -> list[Array]:
    done: list[Array] = []
    carried: Array = np.ones((1, 1))
    for tensor in reversed(tensors):
        whole = np.tensordot(tensor, carried, axes=1).astype(np.float64, copy=False)
        q, rest = np.linalg.qr(whole.reshape(whole.shape[0], -1).T)
        done.append(q.T.reshape(-1, *whole.shape[1:]))
        carried = rest.T
    done[-1] = np.tensordot(carried, done[-1], axes=1).astype(np.float64, copy=False)
    return done[::-1]


def _exchanged(matrix: Array) -> Array:
    """The same map with its two qubits in the other order."""
    return matrix.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
