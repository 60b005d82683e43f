"""An auditor beside the services: it recounts school days from the landing logs, and shares no rule with them.

What a district sent is read from its landing topics, what became of it from flagging's tables, both by code of this
folder alone; not one of the services' counters is asked. It tells numbers, and never of whom.
"""
