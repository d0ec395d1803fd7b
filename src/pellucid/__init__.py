"""pellucid: a workbench for neural networks.

Bring a trained model, or train one, then look inside it, break it, ask how sure it is, reuse what it learned.

    data        read images and labels safely
    models      a network that owns its normalisation, class names and input size
    metrics     numbers from predictions
    report      figures and pages from numbers
    training    the loop
    explain     (model, images, targets) -> heat
    audit       asks a model all of the above and gathers findings
    cli         the command line
"""

__version__ = "0.1.0"
