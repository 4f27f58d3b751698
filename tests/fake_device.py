"""An accelerator for machines without one: tensors do not mix with those of the CPU, and waits are noted."""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")  # what the tensors say: a device that torch knows on every machine


class Far(torch.Tensor):
    """A tensor on the accelerator; in truth its numbers are on the CPU, too."""

    @staticmethod
    def __new__(cls, near):
        far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=DEVICE
        )
        far.near = near
        return far

    def __reduce_ex__(self, protocol):
        return self.near.__reduce_ex__(protocol)  # what is saved is loaded on the CPU

    def __deepcopy__(self, memo):
        copied = Far(self.near.clone())
        is_parameter = isinstance(self, torch.nn.Parameter)
        return torch.nn.Parameter(copied, self.requires_grad) if is_parameter else copied

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        raise NotImplementedError("a tensor of the accelerator outside of `accelerator()`")


class _Accelerator(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:  # in inference mode operators come whole that autograd would have taken apart
            if (result := operator.decompose(*args, **kwargs)) is not NotImplemented:
                return result
        name = operator.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        from_far = any(isinstance(x, Far) for x in tensors)
        moves = name in ("_to_copy", "copy_")
        if from_far and not moves and any(x.ndim and not isinstance(x, Far) for x in tensors):
            raise RuntimeError(f"Expected all tensors to be on the same device, but {operator} met two.")
        to_far = isinstance(args[0], Far) if name == "copy_" else from_far
        if kwargs.get("device") is not None:
            to_far = torch.device(kwargs["device"]) == DEVICE
            kwargs = kwargs | {"device": torch.device("cpu")}
        reads = from_far and (name == "_local_scalar_dense" or (moves and not to_far))
        if reads or (moves and to_far and not from_far and not kwargs.get("non_blocking")):
            self.waits.append(name)
        near_args, near_kwargs = tree_map(lambda x: x.near if isinstance(x, Far) else x, (args, kwargs))
        result = operator(*near_args, **near_kwargs)
        if not to_far:
            return result
        changed = {id(x.near): x for x in tensors if isinstance(x, Far)}  # in place
        return tree_map(
            lambda x: (changed[id(x)] if id(x) in changed else Far(x)) if isinstance(x, torch.Tensor) else x,
            result,
        )


@contextmanager
def accelerator():
    """Within this, `DEVICE` is an accelerator.

    Gives the list of all operators so far that made the CPU wait: numbers read from the accelerator, and
    copies to it that were not ``non_blocking``.
    """
    with _Accelerator() as mode:
        yield mode.waits
