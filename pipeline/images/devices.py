"""One encoder on each GPU of this machine, all in one process.

Whoever has a batch is given an encoder that is free; that of the GPU which has been free for the
longest, so that all come to work. A network's weights are copied to a GPU when its first batch
comes, and no sooner: where all features are known, nothing is built.
"""

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Lock

import keras
import numpy as np

from pipeline.images.encoder import Encoder


class OnDevices:
    """Encodes as many batches at the same time as there are devices, each on one of them.

    Args:
        encoder: what they are encoded with. It works on the first device itself.
        devices: in Keras's names, such as "gpu:0"; the first is that which Keras takes by default.

    Attributes:
        encoders: by device, as soon as it has been given a batch.
    """

    def __init__(self, encoder: Encoder, devices: Sequence[str]) -> None:
        self.encoders = {devices[0]: encoder}
        self._first = encoder
        self._free: SimpleQueue[str] = SimpleQueue()
        self._building = Lock()  # Keras does not say that threads may build networks at once
        for device in devices:
            self._free.put(device)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Turn uint8 RGB (b, side, side, 3) into float32 features (b, *shape), in any thread."""
        device = self._free.get()  # waits for one
        try:
            with keras.device(device):  # this thread's alone
                return self._on(device).encode(pictures)
        finally:
            self._free.put(device)

    def _on(self, device: str) -> Encoder:
        """Find the encoder of the device that is set, or build it there."""
        with self._building:
            if device not in self.encoders:
                encoder = self._first.copy()
                _ = encoder.ready
                self.encoders[device] = encoder
            return self.encoders[device]
