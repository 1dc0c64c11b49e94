"""Peak speed and memory of devices, from their makers' data sheets."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One kind of device.

    Attributes:
        flops: peak of dense bfloat16 matrix products, in FLOP/s.
        memory: bytes; None if the plan should not check it.
    """

    name: str
    flops: float
    memory: float | None


@dataclass(frozen=True)
class Devices:
    """Equal devices that share a model's training (full sharding).

    Attributes:
        mfu: share of the peak that is reached. Recomputed activations count as work, so this is
            the hardware's utilization and not the model's.
    """

    gpu: Gpu
    count: int
    mfu: float

    @property
    def flops(self) -> float:
        """FLOP/s of all devices together."""
        return self.gpu.flops * self.count * self.mfu


GPUS = {
    "a100": Gpu("A100 80 GB", 312e12, 80e9),
    "h100": Gpu("H100 SXM 80 GB", 989e12, 80e9),
    "h200": Gpu("H200 141 GB", 989e12, 141e9),
    "b200": Gpu("B200 180 GB", 2250e12, 180e9),
    "l4": Gpu("L4 24 GB", 121e12, 24e9),
    "l40s": Gpu("L40S 48 GB", 362e12, 48e9),
    "rtx4090": Gpu("RTX 4090 24 GB", 165e12, 24e9),
    # No data sheet states it, so a peak is assumed: float32 products reach 0.15e12 to 0.22e12 on
    # two such cores (docs/decisions.md).
    "cpu": Gpu("two cores with AVX-512", 0.3e12, None),
}
