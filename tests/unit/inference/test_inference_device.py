import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import rlhf_desktop
from rlhf_desktop.core.devices import plain_uuid
from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.inference import device as module
from rlhf_desktop.inference.device import (
    allow_tf32,
    capability,
    describe,
    devices,
    empty_cache,
    fast_dtype,
    find_device,
    free_bytes,
    is_dead,
    is_out_of_memory,
    kind,
    peak_bytes,
    total_bytes,
)

GIB = 2**30
CUDA = torch.device("cuda", 0)


class Cards:
    """Some cards as `torch.cuda` or `torch.xpu` tells of them."""

    def __init__(self, *cards):
        self.cards, self.current, self.emptied = cards, 0, 0

    def is_available(self):
        return bool(self.cards)

    def device_count(self):
        return len(self.cards)

    def get_device_name(self, device):
        return self.cards[device.index].name

    def get_device_properties(self, device):
        return self.cards[device.index]

    def get_device_capability(self, device):
        return self.cards[device.index].capability

    def mem_get_info(self, device):
        return self.cards[device.index].free, 24 * GIB

    def memory_allocated(self, device):
        return 5

    def max_memory_allocated(self, device):
        return 7

    def empty_cache(self):
        self.emptied += 1


def card(free_gib=8, capability=(8, 6), **facts):
    values = {"name": f"Card {free_gib}", "uuid": f"0a-{free_gib}", "capability": capability, "free": free_gib * GIB, **facts}
    return SimpleNamespace(**values)


@pytest.fixture
def two_cards(monkeypatch):
    cards = Cards(card(4), card(20))
    monkeypatch.setattr(torch, "cuda", cards)
    monkeypatch.delenv("RLHF_DESKTOP_DEVICE", raising=False)
    return cards


# --- which there are ------------------------------------------------------------------------------------------------------


def test_nothing_but_this_one_place_speaks_to_cards():
    root = Path(rlhf_desktop.__file__).parent
    told = re.compile(r"torch\.(cuda|xpu|mps|accelerator)\b|from torch import .*\b(cuda|xpu|mps|accelerator)\b")
    found = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if told.search(path.read_text("utf-8"))]
    assert found == ["inference/device.py"]


def test_a_computer_without_cards_has_its_processor(monkeypatch):
    monkeypatch.delenv("RLHF_DESKTOP_DEVICE", raising=False)
    monkeypatch.setattr(torch, "cuda", Cards())
    assert devices() == [torch.device("cpu")] == [find_device()]
    facts = describe(find_device("cpu"))
    assert (facts.kind, facts.uuid, facts.capability, facts.name != "") == ("cpu", "", "", True)
    assert 0 < facts.free_bytes <= facts.total_bytes
    assert peak_bytes(facts.device) is None


def test_the_card_with_most_free_memory_is_taken_unless_another_is_named(two_cards, monkeypatch):
    assert [str(device) for device in devices()] == ["cuda:0", "cuda:1", "cpu"]
    assert str(find_device()) == str(find_device("auto")) == str(find_device("cuda")) == "cuda:1"
    assert str(find_device("cuda:0")) == "cuda:0"
    assert str(find_device("GPU-0A-4")) == str(find_device("0a-4")) == "cuda:0"
    monkeypatch.setenv("RLHF_DESKTOP_DEVICE", "GPU-0a-4")
    assert str(find_device()) == "cuda:0"
    assert str(find_device("cpu")) == "cpu"
    facts = describe(find_device())
    assert (facts.name, facts.uuid, facts.kind, facts.capability) == ("Card 4", "GPU-0a-4", "nvidia", "8.6")
    assert (facts.free_bytes, facts.total_bytes) == (4 * GIB, 24 * GIB)


def test_a_card_that_is_gone_is_named_with_what_there_is(two_cards, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_DEVICE", "GPU-0a-9")
    with pytest.raises(NotFound, match="GPU-0a-9 is not there") as caught:
        find_device()
    assert "cuda:0 (Card 4), cuda:1 (Card 20), cpu" in caught.value.hint
    with pytest.raises(NotFound, match="xpu:0"):
        find_device("xpu:0")


def test_processes_that_share_a_run_take_a_card_each(two_cards, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    taken = []
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        taken.append(str(find_device()))
    assert taken == ["cuda:0", "cuda:1"]


def test_every_card_gives_its_kept_memory_back(two_cards):
    empty_cache()
    assert two_cards.emptied == 1


# --- number formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "dtype"),
    [((12, 0), "bfloat16"), ((9, 0), "bfloat16"), ((8, 6), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"),
     ((7, 0), "float16"), ((6, 1), "float32"), ((6, 0), "float16"), ((5, 2), "float32")],
)  # fmt: skip
def test_nvidia_by_compute_capability(monkeypatch, found, dtype):
    monkeypatch.setattr(torch, "cuda", Cards(card(capability=found)))
    assert fast_dtype(CUDA) == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [("gfx90a:sramecc+:xnack-", "bfloat16"), ("gfx942", "bfloat16"), ("gfx950", "bfloat16"), ("gfx1100", "bfloat16"),
     ("gfx1201", "bfloat16"), ("gfx1030", "float16"), ("gfx908", "float16"), ("gfx906", "float16")],
)  # fmt: skip
def test_amd_by_architecture_whatever_its_number_says(monkeypatch, architecture, dtype):
    monkeypatch.setattr(torch.version, "hip", "7.0")
    monkeypatch.setattr(torch, "cuda", Cards(card(capability=(10, 3), gcnArchName=architecture)))
    assert (kind(CUDA), capability(CUDA)) == ("rocm", architecture.split(":")[0])
    assert fast_dtype(CUDA) == getattr(torch, dtype)


@pytest.mark.parametrize(
    ("has_bfloat16", "has_float16", "dtype"), [(True, True, "bfloat16"), (False, True, "float16"), (False, False, "float32")]
)
def test_intel_by_what_its_driver_says(monkeypatch, has_bfloat16, has_float16, dtype):
    facts = card(12, uuid="8680", has_bfloat16_conversions=has_bfloat16, has_fp16=has_float16)
    monkeypatch.setattr(torch, "xpu", Cards(facts))
    monkeypatch.delenv("RLHF_DESKTOP_DEVICE", raising=False)
    found = describe(find_device())
    assert (str(found.device), found.kind, found.uuid, found.free_bytes) == ("xpu:0", "xpu", "8680", 12 * GIB)
    assert found.fast_dtype == getattr(torch, dtype)
    assert peak_bytes(found.device) == 7


@pytest.mark.parametrize(
    ("chip", "system", "dtype"),
    [("Apple M1 Pro", "15.1", "float16"), ("Apple M2", "14.0", "float16"), ("Apple M3 Max", "14.4", "bfloat16"),
     ("Apple M4", "13.6", "float16"), ("Apple M10", "26.0", "bfloat16"), ("arm64", "", "float16")],
)  # fmt: skip
def test_apple_by_chip_and_system(monkeypatch, chip, system, dtype):
    module.apple_chip.cache_clear()
    monkeypatch.setattr(module, "apple_chip", lambda: chip)
    monkeypatch.setattr(module.platform, "mac_ver", lambda: (system, ("", "", ""), "arm64"))
    assert fast_dtype(torch.device("mps", 0)) == getattr(torch, dtype)


def test_apples_memory_is_what_the_system_lets_graphics_have(monkeypatch):
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 10 * GIB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4 * GIB)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=20 * GIB, total=32 * GIB))
    apple = torch.device("mps", 0)
    assert (free_bytes(apple), total_bytes(apple), peak_bytes(apple)) == (6 * GIB, 10 * GIB, None)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * GIB, total=32 * GIB))
    assert free_bytes(apple) == 2 * GIB  # other programs have the rest


@pytest.mark.parametrize("wins", [True, False])
def test_a_processor_by_a_measurement(monkeypatch, wins):
    monkeypatch.setattr(module, "_bfloat16_wins", None)
    monkeypatch.setattr(module, "_bfloat16_share", lambda: 0.5 if wins else 1.5)
    assert fast_dtype(torch.device("cpu")) == (torch.bfloat16 if wins else torch.float32)


def test_tf32_only_beside_a_model_that_is_coarser_anyway():
    for dtype, allowed in ((torch.bfloat16, True), (torch.float16, True), (torch.float32, False)):  # the last is the default
        allow_tf32(CUDA, dtype)
        assert torch.backends.cuda.matmul.allow_tf32 is allowed


# --- troubles -------------------------------------------------------------------------------------------------------------

OUT = [
    MemoryError(),
    torch.OutOfMemoryError("Allocation on device would exceed allowed memory."),
    RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB (GPU 0; 7.79 GiB total capacity)"),
    torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the documentation"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    torch.AcceleratorError("HIP error: out of memory"),
    RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("rocBLAS error: rocblas_status_memory_error"),
    RuntimeError("XPU out of memory. Tried to allocate 4.66 GiB. GPU 0 has a total capacity of 5.65 GiB"),
    RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
    RuntimeError("UR backend failed. UR backend returns:40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.82 GiB, other allocations: 352.00 KiB, max allowed: 9.07 GiB)."),
    RuntimeError("Invalid buffer size: 24.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
        "400000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000000 bytes."),
    RuntimeError("std::bad_alloc"),
]


@pytest.mark.parametrize("problem", OUT, ids=lambda problem: f"{type(problem).__name__} {str(problem)[:40]}")
def test_out_of_memory_in_all_its_forms(problem):
    assert is_out_of_memory(problem)
    assert not is_dead(problem)


def test_out_of_memory_as_this_torch_says_it():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)


def test_out_of_memory_by_its_number():
    problem = torch.AcceleratorError("something in another language")
    problem.error_code = 2
    assert is_out_of_memory(problem)


DIED = [
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: context is destroyed"),
    RuntimeError("CUDA error: the launch timed out and was terminated"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: an illegal instruction was encountered"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: unknown error"),
    RuntimeError("HIP error: an illegal memory access was encountered"),
    RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
]


@pytest.mark.parametrize("problem", DIED, ids=str)
def test_a_card_that_is_lost_to_this_process(problem):
    assert is_dead(problem)
    assert not is_out_of_memory(problem)


def test_a_lost_card_by_its_number():
    problem = torch.AcceleratorError("something in another language")
    problem.error_code = 719
    assert is_dead(problem)


@pytest.mark.parametrize("problem", [ValueError("out of memory"), RuntimeError("shape mismatch"), KeyError("device-side assert")])
def test_any_other_trouble_is_neither(problem):
    assert not is_out_of_memory(problem)
    assert not is_dead(problem)


@pytest.mark.parametrize("written", ["GPU-ab12", "gpu-AB12", "MIG-ab12", " ab12 "])
def test_a_card_is_the_same_however_its_uuid_is_written(written):
    assert plain_uuid(written) == "ab12"
