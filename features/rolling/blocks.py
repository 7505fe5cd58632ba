"""Sums over windows, added up in an order that depends on the window alone.

Time is cut into blocks of the window's length, counted from the epoch. A window of ``n`` bars is the
tail of one block plus the head of the next, each added up from the boundary between them: no
subtraction, no drift, linear time, and the same bits from any cut (van Herk's and Gil and Werman's
scheme, known for extremes).

Arrays have time along their last axis.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["window_parts", "window_sums"]

FloatArray = npt.NDArray[np.float64]


def window_sums(values: FloatArray, n: int, first: int, out: FloatArray) -> None:
    """Add up every ``n`` consecutive values.

    Parameters
    ----------
    values : ndarray of shape (n_bars,) or (n_rows, n_bars)
        None may be missing where the sum is wanted: NaN makes NaN.
    n : int
        Window in bars, at most ``n_bars``.
    first : int
        Number of bars between the epoch and the first value: anchors the blocks.
    out : ndarray of shape (n_bars - n + 1,) or (n_rows, n_bars - n + 1)
        Receives the sums; the first window ends with bar ``n - 1``.
    """
    if values.ndim > 1 and values.shape[-1] >= 2 * n:
        for row, sums in zip(values, out, strict=True):  # one row at a time stays in the cache
            window_sums(row, n, first, sums)
        return
    tail, head = window_parts(values, n, first)
    np.add(tail, head, out=out)
    whole = slice(-first % n, None, n)  # windows that are one block: 0.0 + -0.0 would be 0.0
    out[..., whole] = head[..., whole]


def window_parts(values: FloatArray, n: int, first: int) -> tuple[FloatArray, FloatArray]:
    """Sums of each window's part in its earlier block and of that in its later one.

    Parameters are those of :func:`window_sums`. A window that is one block has all in its later part.

    Returns
    -------
    tail, head : ndarray of shape (n_bars - n + 1,) or (n_rows, n_bars - n + 1)
    """
    if values.shape[-1] < 2 * n:
        return _few(values, n, first % n)
    return _many(values, n, first % n)


def _many(values: FloatArray, n: int, pad: int) -> tuple[FloatArray, FloatArray]:
    """Windows over a whole history: every block is added up from both of its ends.

    Each sum waits for the one before it. The real and the imaginary part of a complex number do not
    wait for each other, so the blocks of the second half ride beside those of the first, for nothing.
    """
    size = len(values)
    half = -(-(pad + size) // (2 * n))  # blocks on each side
    padded = np.zeros((2, half, n))
    padded.reshape(-1)[pad : pad + size] = values
    pairs = np.empty((half, n), dtype=np.complex128)
    pairs.real, pairs.imag = padded
    tails = np.empty(pairs.shape, dtype=np.complex128)
    np.add.accumulate(pairs[:, ::-1], axis=1, out=tails[:, ::-1])
    tails[:, 0] = 0.0  # a tail that is a whole block: the head has it all
    heads = np.add.accumulate(pairs, axis=1, out=pairs)
    head = np.empty(padded.shape)
    for parts, whole in ((tails, padded), (heads, head)):
        whole[0], whole[1] = parts.real, parts.imag
    return padded.reshape(-1)[pad : pad + size - n + 1], head.reshape(-1)[pad + n - 1 : pad + size]


def _few(values: FloatArray, n: int, pad: int) -> tuple[FloatArray, FloatArray]:
    """At most ``n`` windows, as a request has: each cell of theirs is added up once, seldom twice."""
    size = values.shape[-1]
    tail = np.zeros((*values.shape[:-1], size - n + 1))
    head = np.empty(tail.shape)
    begin, count = 0, size - n + 1  # of the windows that are to be filled; also of their first cell
    block = (n - pad) % n  # where the first whole block begins
    while begin < count:
        if begin == block:  # a window that is one block
            head[..., begin] = np.add.accumulate(values[..., block : block + n], axis=-1)[..., -1]
            begin, block = begin + 1, block + n
            continue
        stop = min(block, count)  # windows that begin before this block and end within it
        ends = np.add.accumulate(values[..., block : min(stop + n - 1, size)], axis=-1)
        head[..., begin:stop] = ends[..., begin + n - 1 - block :]
        starts = np.add.accumulate(values[..., begin:block][..., ::-1], axis=-1)
        tail[..., begin:stop] = starts[..., ::-1][..., : stop - begin]
        begin = stop
    return tail, head
