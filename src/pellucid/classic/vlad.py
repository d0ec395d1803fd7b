"""VLAD: how the descriptors of an image differ, on the whole, from the words they are nearest to.

H. Jégou, M. Douze, C. Schmid, P. Pérez, "Aggregating Local Descriptors into a Compact Image Representation", CVPR
2010, section 3.1, https://doi.org/10.1109/CVPR.2010.5540039; roots: F. Perronnin et al., ECCV 2010.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._parts import Size, grids, parts, upwards
from ._rows import in_images, nearest
from .dictionary import Dictionary


@torch.no_grad()
def vlad(
    descriptors: Tensor,
    dictionary: Dictionary,
    *,
    root: bool = True,
    each: bool = False,
    size: Size | None = None,
    levels: int = 1,
) -> Tensor:
    """Sums of the differences between descriptors and their nearest words, word by word; zeros count nothing.

    Args:
        descriptors: (N, P, D), float, as from `dense_sift`.
        dictionary: fitted; 16 to 256 words are usual.
        root: whether numbers are replaced by their roots, signs kept, so that what repeats counts less.
        each: whether each word's part is brought to norm 1 first, so that no word outweighs the others.
        size: rows and columns of the P patches, or several such, as of `pyramid`; needed for more than one level.
        levels: L: the whole, 2 x 2 parts, 4 x 4 parts, ...; at least 1.

    Returns:
        (N, parts * K * D), float32, of norm 1; zeros for an image of zeros. Level by level, part by part (row by row),
        each part of equal norm.

    Raises:
        ValueError: the dictionary is not fitted, or of another width, or size and levels do not fit the patches.
    """
    words = dictionary.asked()[:-1]
    whole = in_images(descriptors, words.shape[1]).float()
    words = words.to(whole)
    count, patches, width = whole.shape
    known = grids(size, patches, levels)
    part = parts(known, 2 ** (levels - 1)).to(whole.device)  # (P,)
    rows = whole.flatten(0, 1)
    place = nearest(rows, words)[0]
    apart = torch.where(rows.any(dim=1, keepdim=True), rows - words[place], 0)
    box = torch.arange(count, device=rows.device)[:, None] * 4 ** (levels - 1) + part  # (N, P), of image and part
    sums = rows.new_zeros(count * 4 ** (levels - 1) * len(words), width)
    sums.index_add_(0, box.flatten() * len(words) + place, apart)
    flat = torch.cat(upwards(sums.view(count, -1, len(words), width), levels), dim=1)  # (N, parts, K, D)
    flat = (F.normalize(flat, dim=3) if each else flat).flatten(2)
    flat = flat.sign() * flat.abs().sqrt() if root else flat
    return F.normalize(F.normalize(flat, dim=2).flatten(1), dim=1)
