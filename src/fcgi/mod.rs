//! Floor 1: FastCGI 1.0 as bytes in and bytes out. No socket, no clock.
