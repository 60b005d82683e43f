"""The query layer: the only way from the projections to a reader.

`published` gives what anyone with a reason may see: frozen at a cut-off, small cells hidden. `own` gives a district the
numbers of its own work, of this moment and unsuppressed, because its coordinators have a legitimate interest in each
of these families. Pages, JSON and exports get tables from here and never see the projections: a test says so.
"""
