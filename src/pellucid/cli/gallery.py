"""A page of everything that can be seen inside: every map of each picture, layers, filters, images of classes.

For a few pictures (24 at most); methods that do not suit the model are left out, and the page says why. OUT gets
index.html, which needs nothing beside it, and record.json.

  pellucid gallery torchvision:resnet50 cat.jpg dog.jpg -o inside
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import add_options, given, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb, those of the gallery read off its signature."""
    from pellucid.gallery import gallery

    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    add_options(parser, gallery)
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")


def run(args: Namespace) -> int:
    """Make the page; say where."""
    from pellucid import data
    from pellucid.files import check_new_folder
    from pellucid.gallery import gallery

    check_new_folder(args.out, force=args.force, command="gallery")
    pictures = data.gather(args.images)
    model = load_model(args)
    with progress():
        found = gallery(model, pictures, **given(args, gallery))
        found.save(args.out, force=args.force)
    for note in found.notes:
        print(f"left out: {plain(note)}")
    print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    return 0
