//! Floor 1: choices. Which member, whether it may be used, whether a request may be sent again.
