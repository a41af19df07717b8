"""The GPUs that this process may use, by NVIDIA's driver, without a library that computes on them."""

import ctypes
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Gpu:
    """A GPU and its memory in bytes, used or not."""

    name: str
    memory_bytes: int


@cache
def gpus() -> tuple[Gpu, ...]:
    """The GPUs in the driver's order; empty without a driver, or where CUDA_VISIBLE_DEVICES hides them all."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    n_devices = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(n_devices)) != 0:
        return ()
    return tuple(_gpu(driver, number) for number in range(n_devices.value))


def _gpu(driver: ctypes.CDLL, number: int) -> Gpu:
    device, name, memory = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(errors="replace"), memory.value)
