"""Reporting: numbers, each defined once, from projections that can be rebuilt from the events.

Two editions of every number, and no third way. *Published*: the whole state, frozen at month ends, small cells hidden
with all that would tell them. *Own*: one district, of this moment and whole, for its coordinators and its district
staff, who answer for each of these families anyway. A RESC works with several districts and sees the published ones.
"""
