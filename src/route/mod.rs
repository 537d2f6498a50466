//! Floor 1: from a request target to a plan, by the rules of nginx. The file system is an argument.
