"""VLAD: how the descriptors of an image differ, on the whole, from the words they are nearest to.

H. Jégou, M. Douze, C. Schmid, P. Pérez, "Aggregating Local Descriptors into a Compact Image Representation", CVPR
2010, section 3.1, https://doi.org/10.1109/CVPR.2010.5540039; roots: F. Perronnin et al., ECCV 2010.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._rows import in_images, nearest
from .dictionary import Dictionary


@torch.no_grad()
def vlad(descriptors: Tensor, dictionary: Dictionary, *, root: bool = True, each: bool = False) -> Tensor:
    """Sums of the differences between descriptors and their nearest words, word by word; zeros count nothing.

    Args:
        descriptors: (N, P, D), float, as from `dense_sift`.
        dictionary: fitted; 16 to 256 words are usual.
        root: whether numbers are replaced by their roots, signs kept, so that what repeats counts less.
        each: whether each word's part is brought to norm 1 first, so that no word outweighs the others.

    Returns:
        (N, K * D), float32, of norm 1; zeros for an image of zeros.

    Raises:
        ValueError: the dictionary is not fitted, or of another width.
    """
    words = dictionary.asked()[:-1]
    whole = in_images(descriptors, words.shape[1]).float()
    words = words.to(whole)
    count, patches, _ = whole.shape
    rows = whole.flatten(0, 1)
    place = nearest(rows, words)[0]
    apart = torch.where(rows.any(dim=1, keepdim=True), rows - words[place], 0)
    image = torch.arange(count, device=rows.device).repeat_interleave(patches)
    sums = rows.new_zeros(count * len(words), rows.shape[1]).index_add_(0, image * len(words) + place, apart)
    if each:
        sums = F.normalize(sums, dim=1)
    flat = sums.view(count, -1)
    return F.normalize(flat.sign() * flat.abs().sqrt() if root else flat, dim=1)
