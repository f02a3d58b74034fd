"""The Builderfile: its grammar, what its words mean, and the workspace that Builderfiles make up.

Reading goes through three values, each made by a pure function: text is parsed into a *syntax tree* (``parse``), the
tree is read as *targets* (``lowering``), and the targets of all files are joined into a *workspace* with its graph
(``workspace``, ``graph``). Only ``tree`` looks at files. Whatever is wrong is a
:class:`~bldr.errors.BuilderfileError` with its place.
"""
