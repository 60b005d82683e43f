"""What operations see, as code: promises, boards, rules, routes and runbooks; `generated/` is what they come to."""
