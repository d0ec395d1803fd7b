"""Two sets of images that are compared: of one shape, and with no image in common."""

from torch import Tensor

from pellucid.data import content_keys


def check_same_shape(images: Tensor, out_images: Tensor) -> None:
    """Refuse sets whose images differ in shape."""
    if images.shape[1:] != out_images.shape[1:]:
        raise ValueError(
            f"out_images must have the shape of the known images {tuple(images.shape[1:])}, got "
            f"{tuple(out_images.shape[1:])}: read both through one pipeline, or the sizes alone tell them apart"
        )


def check_apart(name: str, images: Tensor, other_name: str, others: Tensor) -> None:
    """Refuse sets that share an image."""
    places = {key: place for place, key in enumerate(content_keys(others.detach().float()))}
    shared = [(at, places[key]) for at, key in enumerate(content_keys(images.detach().float())) if key in places]
    if shared:
        at, place = shared[0]
        raise ValueError(
            f"{name} must hold none of {other_name}, got {len(shared)} that are in both (the first: number {at} is "
            f"number {place} of {other_name})"
        )
