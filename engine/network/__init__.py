"""The UST-Hand network in torch, one module a part of the paper (arXiv 2605.17742); see `engine.network.network`.

Needs torch, which comes with `pip install usthand[train]`. Running an exported model needs none of this.
"""
