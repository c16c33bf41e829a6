"""Kinds of training sample, one a file, and what they are drawn with.

The floor: `palette` (colours), `textures`, `outlines` (closed curves), `layers` (exact alpha and its composition),
`materials` (light on a surface), `stage` (what a kind is given), `grounds`, `placing`.
Each of the other modules is one kind of scene and has one function `draw`.
"""
