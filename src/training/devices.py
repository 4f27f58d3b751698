"""Where a network trains, and in which precision."""

from __future__ import annotations

import contextlib

import torch


def choose_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 where the device multiplies it faster than float32, else nothing.

    On a CPU that means AVX-512 BF16 or AMX: twice the pictures a second.
    """
    if device.type == "cpu":
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    else:
        fast = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, torch.bfloat16) if fast else contextlib.nullcontext()
