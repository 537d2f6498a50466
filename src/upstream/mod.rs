//! Floor 4: members, connections, permits, the queue: from a request head and body to a reply.
