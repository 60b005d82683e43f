"""What flagging does: facts change registers, registers are judged, and what follows is told."""
