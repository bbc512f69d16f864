"""The codes under which a shard of the window keeps the contexts of its predictions.

A context (model, version, segments) is stored once a shard, and each prediction ends with its code. The
script gives the codes; here they are remembered, as long as the window has the same name. A prediction
that ends with `NO_CODE` carries its context itself: a shard has no more than `MOST_CODES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

CODE_BYTES = 2
MOST_CODES = 4_096
NO_CODE = bytes(CODE_BYTES)


class Codes:
    """What is known of the codes of one shard.

    >>> codes = Codes()
    >>> codes.learn({b"context": bytes([0, 1])})
    >>> codes.short([b"context", b"another"])
    [b'\\x00\\x01', b'another']
    >>> codes.lacking([b"context", b"another"])
    [b'another']
    >>> codes.whole([bytes([7, 0, 1]), bytes([7, 0, 0])])
    [b'\\x07context', b'\\x07']
    """

    def __init__(self) -> None:
        self._codes: dict[bytes, bytes] = {}
        self._contexts = {NO_CODE: b""}

    def learn(self, codes: Mapping[bytes, bytes]) -> None:
        """Know the codes of these contexts."""
        self._codes |= codes
        self._contexts |= {code: context for context, code in codes.items()}

    def short(self, contexts: Sequence[bytes]) -> list[bytes]:
        """Return the codes of contexts, and those contexts themselves that have none yet."""
        return [self._codes.get(context, context) for context in contexts]

    def lacking(self, contexts: Iterable[bytes]) -> list[bytes]:
        """Return those of the contexts to which a code may have been given that is not known."""
        if len(self._codes) >= MOST_CODES:
            return []
        return [context for context in contexts if context not in self._codes]

    def cover(self, payloads: Iterable[bytes]) -> bool:
        """Return whether all codes at the ends of these payloads are known."""
        return self._contexts.keys() >= {payload[-CODE_BYTES:] for payload in payloads}

    def whole(self, payloads: Iterable[bytes]) -> list[bytes]:
        """Return payloads with their contexts instead of the codes at their ends, which must be known."""
        known = self._contexts
        return [payload[:-CODE_BYTES] + known[payload[-CODE_BYTES:]] for payload in payloads]
