"""One training by several processes, as torchrun starts them; without it there is one, and this does nothing.

Each process takes its share of every batch (DistributedDataParallel); the first one validates and saves.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from src import progress

ModelT = TypeVar("ModelT", bound=nn.Module)


def rank() -> int:
    """Which of the processes this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the other processes that torchrun started, over NCCL on GPUs and gloo on CPUs."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # torchrun keeps its store when it starts all again, and the addresses of the dead in it: torch 2.15
    # would wait for them for ever, so each attempt gets names of its own
    store, rank, world_size = next(rendezvous("env://"))
    store = dist.PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def one_first() -> Iterator[None]:
    """The first process does this alone, then the others, who find what it left in the cache."""
    if rank():
        wait()
    yield
    if not rank():
        wait()


def together(model: nn.Module) -> nn.Module:
    """The network, its gradients averaged over all processes; its weights are those of the first."""
    return DistributedDataParallel(model) if processes() > 1 else model


def synchronised(model: ModelT, device: torch.device) -> ModelT:
    """The network with batch norms that see the pictures of all processes, where they train on GPUs.

    Its weights are the same tensors. Torch has no such norm for CPUs.
    """
    if processes() == 1 or device.type != "cuda":
        return model
    from timm.layers import convert_sync_batchnorm  # torch's own drops the activation of timm's norms

    return convert_sync_batchnorm(model)


def wait() -> None:
    """Until all processes have come here."""
    if processes() > 1:
        dist.barrier()


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """The sums of these numbers over all processes."""
    if processes() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return tensor.tolist()


def of_the_first(values: Sequence[float], device: torch.device) -> list[float]:
    """These numbers as the first process has them."""
    if processes() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(tensor, src=0)
    return tensor.tolist()


def progress_bar(*args, **options) -> tqdm:
    """A progress bar, one for all processes."""
    if rank():
        options["disable"] = True
    return progress.progress_bar(*args, **options)
